// nfs-mount mounts an NFS export by FUSE, for kernels without an NFS client, and runs a command
// beside it as an unprivileged user:
//
//	nfs-mount [--timeout SECONDS] --uid UID HOST[:PORT] EXPORT FOLDER COMMAND [ARGUMENT]...
//
// It needs /dev/fuse and the capabilities SYS_ADMIN, SETUID, SETGID and KILL, and keeps the last
// one only. It ends with the command, and the mount with the container: nobody else sees it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func main() {
	timeout := flag.Int("timeout", 60, "seconds that an operation waits for the server")
	uid := flag.Uint("uid", 0, "user and group of the command, of the files, and towards the server")
	flag.Parse()
	if flag.NArg() < 4 || *uid == 0 || *timeout < 1 {
		flag.Usage()
		os.Exit(2)
	}
	status, err := run(flag.Arg(0), flag.Arg(1), flag.Arg(2), flag.Args()[3:], uint32(*uid),
		time.Duration(*timeout)*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nfs-mount:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

func run(host, export, folder string, command []string, uid uint32, timeout time.Duration) (int, error) {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "2049")
	}
	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	stop, started := make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		for asked := range stop {
			select {
			case <-started:
				child.Process.Signal(asked)
			default: // nothing runs that would have to end in order
				os.Exit(128 + int(asked.(syscall.Signal)))
			}
		}
	}()
	c := newClient(host, uid, timeout)
	if err := c.serve(host, export, folder); err != nil {
		return 0, err
	}
	child.Env = append(os.Environ(), draftsVariable+"="+c.draftMark)
	if err := child.Start(); err != nil {
		return 0, err
	}
	close(started)
	if err := keepOnlyKill(); err != nil {
		return 0, err
	}
	var ended *exec.ExitError
	if err := child.Wait(); err != nil && !errors.As(err, &ended) {
		return 0, err
	}
	if by := child.ProcessState.Sys().(syscall.WaitStatus); by.Signaled() {
		return 128 + int(by.Signal()), nil
	}
	return child.ProcessState.ExitCode(), nil
}

// serve mounts the export, and returns when it can be used.
func (c *client) serve(host, export, folder string) error {
	handle, a, failed := c.mount(export)
	if failed != 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.problem != nil:
			return fmt.Errorf("the NFS server %s cannot be reached: %w", host, c.problem)
		case c.session == nil:
			return fmt.Errorf("the NFS server %s does not answer in %s", host, c.timeout)
		}
		return fmt.Errorf("the NFS server %s does not give %s: %w", host, export, failed)
	}
	if a.kind != typeDirectory {
		return fmt.Errorf("%s of the NFS server %s is not a folder", export, host)
	}
	none := time.Duration(0)
	_, err := fs.Mount(folder, &node{c: c, handle: handle}, &fs.Options{
		EntryTimeout:    &none,
		NullPermissions: true,
		RootStableAttr:  &fs.StableAttr{Ino: a.id},
		MountOptions: fuse.MountOptions{
			AllowOther:         true,
			DirectMountStrict:  true,
			DirectMountFlags:   unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC,
			DisableReadDirPlus: true,
			FsName:             host + ":" + export,
			Name:               "nfs",
			MaxWrite:           ioSize,
			MaxReadAhead:       ioSize,
		},
	})
	if err != nil {
		return fmt.Errorf("cannot mount at %s: %w (is /dev/fuse given, and CAP_SYS_ADMIN?)", folder, err)
	}
	return nil
}

// keepOnlyKill gives up every capability but the one to pass signals on to another user's process.
func keepOnlyKill() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL}}
	_, _, failed := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)),
		uintptr(unsafe.Pointer(&data)), 0)
	if failed != 0 {
		return fmt.Errorf("cannot give up capabilities: %w", failed)
	}
	return nil
}
