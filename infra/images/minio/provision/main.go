// Command provision brings a running MinIO to what a deployment asks for, or asks whether it is.
//
//	provision ADDRESS        makes the bucket, its versioning and its user
//	provision ADDRESS ready  succeeds when that user reads the bucket
//
// ADDRESS is host:port, without TLS. The bucket is OBJECT_STORE_BUCKET, the user
// OBJECT_STORE_USER; the passwords are one-line files in /run/secrets.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/minio/madmin-go/v3"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	rootUser       = "root-admin"
	rootSecret     = "/run/secrets/object-store-root-password"
	userSecret     = "/run/secrets/object-store-password"
	policyName     = "bucket-only"
	startTimeout   = 10 * time.Minute
	requestTimeout = time.Minute
	readyTimeout   = 4 * time.Second
)

func main() {
	ready := len(os.Args) == 3 && os.Args[2] == "ready"
	if len(os.Args) != 2 && !ready {
		fmt.Fprintln(os.Stderr, "usage: provision ADDRESS [ready]")
		os.Exit(2)
	}
	action := provision
	if ready {
		action = checkReady
	}
	bucket, user := os.Getenv("OBJECT_STORE_BUCKET"), os.Getenv("OBJECT_STORE_USER")
	if err := action(os.Args[1], bucket, user); err != nil {
		fmt.Fprintln(os.Stderr, "minio:", err)
		os.Exit(1)
	}
}

// checkReady lists the bucket, which reads the volume, as the user of the bucket.
func checkReady(address, bucket, user string) error {
	password, err := secret(userSecret)
	if err != nil {
		return err
	}
	client, err := s3(address, user, password)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for object := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{MaxKeys: 1}) {
		if object.Err != nil {
			return fmt.Errorf("not ready: %w", object.Err)
		}
		break
	}
	return nil
}

// provision can be repeated: bucket and objects stay as they are.
func provision(address, bucket, user string) error {
	rootPassword, err := secret(rootSecret)
	if err != nil {
		return err
	}
	password, err := secret(userSecret)
	if err != nil {
		return err
	}
	admin, err := madmin.NewWithOptions(address, &madmin.Options{
		Creds: credentials.NewStaticV4(rootUser, rootPassword, ""),
	})
	if err != nil {
		return err
	}
	client, err := s3(address, rootUser, rootPassword)
	if err != nil {
		return err
	}
	if err := waitForServer(admin); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()

	exists, err := client.BucketExists(ctx, bucket)
	if err == nil && !exists {
		err = client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	if err := client.EnableVersioning(ctx, bucket); err != nil {
		return fmt.Errorf("versioning of bucket %s: %w", bucket, err)
	}
	policy, err := json.Marshal(bucketOnly(bucket))
	if err != nil {
		return err
	}
	if err := admin.AddCannedPolicy(ctx, policyName, policy); err != nil {
		return fmt.Errorf("policy of user %s: %w", user, err)
	}
	if err := admin.AddUser(ctx, user, password); err != nil {
		return fmt.Errorf("user %s: %w", user, err)
	}
	// Unlike AttachPolicy, it replaces what the user had, and accepts that it is so already.
	if err := admin.SetPolicy(ctx, policyName, user, false); err != nil {
		return fmt.Errorf("policy of user %s: %w", user, err)
	}
	return nil
}

// waitForServer returns nil as soon as the server knows its users.
func waitForServer(admin *madmin.AdminClient) error {
	deadline := time.Now().Add(startTimeout)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		_, err := admin.ListUsers(ctx)
		cancel()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

type statement struct {
	Effect   string
	Action   []string
	Resource []string `json:",omitempty"`
}

type policy struct {
	Version   string
	Statement []statement
}

// bucketOnly allows what an artifact store needs in one bucket.
//
// DeleteObject includes versions unless that is denied; without, what the application overwrites
// or deletes by mistake is still there. And a user may make further access keys for itself.
func bucketOnly(bucket string) policy {
	arn := "arn:aws:s3:::" + bucket
	return policy{Version: "2012-10-17", Statement: []statement{
		{Effect: "Allow", Resource: []string{arn}, Action: []string{
			"s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucket",
			"s3:ListBucketVersions", "s3:ListBucketMultipartUploads",
		}},
		{Effect: "Allow", Resource: []string{arn + "/*"}, Action: []string{
			"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject",
			"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
		}},
		{Effect: "Deny", Resource: []string{arn + "/*"}, Action: []string{"s3:DeleteObjectVersion"}},
		{Effect: "Deny", Action: []string{"admin:*"}},
	}}
}

func s3(address, user, password string) (*minio.Client, error) {
	return minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(user, password, "")})
}

func secret(path string) (string, error) {
	content, err := os.ReadFile(path)
	return strings.TrimSuffix(string(content), "\n"), err
}
