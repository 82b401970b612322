// Mounts the NFS artifact store where the kernel has no NFS client.
module mlflow-bench/nfs-mount

go 1.24

require (
	github.com/hanwen/go-fuse/v2 v2.9.0
	golang.org/x/sys v0.28.0
)
