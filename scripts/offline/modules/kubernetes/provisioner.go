package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// The external provisioner protocol's annotations (kubernetes.io/docs, dynamic provisioning).
const (
	provisionerName = "mlflow-bench/local"
	selectedNode    = "volume.kubernetes.io/selected-node"
	wantedFrom      = "volume.kubernetes.io/storage-provisioner"
	provisionedBy   = "pv.kubernetes.io/provisioned-by"
)

// provision makes a folder of the node for each claim that the scheduler has placed, and removes
// the folder when the claim is gone. It looks once a second: a test cluster has few claims.
func provision(kubeconfig, folder string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for ; ; time.Sleep(time.Second) {
		if err := makeVolumes(client, folder); err != nil {
			log.Print(err)
		}
		if err := removeVolumes(client, folder); err != nil {
			log.Print(err)
		}
	}
}

func makeVolumes(client kubernetes.Interface, folder string) error {
	ctx := context.Background()
	claims, err := client.CoreV1().PersistentVolumeClaims("").List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	for _, claim := range claims.Items {
		node, placed := claim.Annotations[selectedNode]
		if !placed || claim.Annotations[wantedFrom] != provisionerName || claim.Spec.VolumeName != "" {
			continue
		}
		name := "pvc-" + string(claim.UID)
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(path, 0o777); err != nil {
			return err
		}
		// The kubelet gives a local volume to a pod's fsGroup; a pod without one writes as others.
		if err := os.Chmod(path, 0o777); err != nil {
			return err
		}
		_, err := client.CoreV1().PersistentVolumes().Create(ctx, volume(&claim, name, path, node), meta.CreateOptions{})
		if err != nil && !errors.IsAlreadyExists(err) {
			return fmt.Errorf("volume %s: %w", name, err)
		}
	}
	return nil
}

func volume(claim *core.PersistentVolumeClaim, name, path, node string) *core.PersistentVolume {
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisionerName}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      claim.Spec.Resources.Requests,
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              *claim.Spec.StorageClassName,
			ClaimRef: &core.ObjectReference{
				Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{
					MatchExpressions: []core.NodeSelectorRequirement{{
						Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{node},
					}},
				}},
			}},
		},
	}
}

func removeVolumes(client kubernetes.Interface, folder string) error {
	ctx := context.Background()
	volumes, err := client.CoreV1().PersistentVolumes().List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	for _, volume := range volumes.Items {
		if volume.Annotations[provisionedBy] != provisionerName || volume.Status.Phase != core.VolumeReleased {
			continue
		}
		if err := os.RemoveAll(filepath.Join(folder, volume.Name)); err != nil {
			return err
		}
		err := client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
		if err != nil && !errors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
