package main

import (
	"context"
	"hash/fnv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// folderTimeout is how long a folder that was seen is believed to be there still; files are asked
// for at every use of their names, so that another client's rename is seen at once.
const folderTimeout = time.Second

// node is a file, folder or link, known by its NFS file handle.
type node struct {
	fs.Inode
	c      *client
	handle []byte        // made gives it where the node may be a draft
	size   atomic.Uint64 // as last heard, or as written here
	draft  *draft        // if it was made as one
}

var (
	_ = (fs.NodeLookuper)((*node)(nil))
	_ = (fs.NodeGetattrer)((*node)(nil))
	_ = (fs.NodeSetattrer)((*node)(nil))
	_ = (fs.NodeAccesser)((*node)(nil))
	_ = (fs.NodeCreater)((*node)(nil))
	_ = (fs.NodeMkdirer)((*node)(nil))
	_ = (fs.NodeSymlinker)((*node)(nil))
	_ = (fs.NodeLinker)((*node)(nil))
	_ = (fs.NodeUnlinker)((*node)(nil))
	_ = (fs.NodeRmdirer)((*node)(nil))
	_ = (fs.NodeRenamer)((*node)(nil))
	_ = (fs.NodeReadlinker)((*node)(nil))
	_ = (fs.NodeReaddirer)((*node)(nil))
	_ = (fs.NodeOpener)((*node)(nil))
	_ = (fs.NodeStatfser)((*node)(nil))
	_ = (fs.NodeFsyncer)((*node)(nil))
	_ = (fs.NodeSetxattrer)((*node)(nil))
	_ = (fs.NodeGetxattrer)((*node)(nil))
	_ = (fs.NodeListxattrer)((*node)(nil))
	_ = (fs.NodeRemovexattrer)((*node)(nil))
	_ = (fs.FileReader)((*open)(nil))
	_ = (fs.FileWriter)((*open)(nil))
	_ = (fs.FileFlusher)((*open)(nil))
	_ = (fs.FileReleaser)((*open)(nil))
)

func (n *node) fill(a attributes, out *fuse.Attr) {
	n.size.Store(a.size)
	out.Mode = kind(a.kind) | a.mode&0o7777
	out.Size = a.size
	out.Blocks = (a.used + 511) / 512
	out.Nlink = a.links
	out.Uid, out.Gid = n.c.uid, n.c.uid
	out.SetTimes(&a.accessed, &a.modified, &a.changed)
}

func kind(ofNFS uint32) uint32 {
	switch ofNFS {
	case typeDirectory:
		return syscall.S_IFDIR
	case typeLink:
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

// child makes the kernel's entry for what was found.
func (n *node) child(ctx context.Context, handle []byte, a attributes, out *fuse.EntryOut) *fs.Inode {
	hash := fnv.New64a()
	hash.Write(handle)
	one := &node{c: n.c, handle: handle}
	// With the handle's hash, as a file system uses the number of a removed file again.
	inode := n.NewInode(ctx, one, fs.StableAttr{Mode: kind(a.kind), Ino: a.id, Gen: hash.Sum64()})
	inode.Operations().(*node).fill(a, &out.Attr)
	out.SetAttrTimeout(folderTimeout)
	if a.kind == typeDirectory {
		out.SetEntryTimeout(folderTimeout)
	}
	return inode
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if place := n.draftAt(name); place != "" {
		switch made, there := n.c.drafts.Load(place); {
		case !there:
			return nil, syscall.ENOENT
		case made != asked:
			return made.(*draft).show(out), 0
		}
	}
	handle, a, err := n.c.lookup(n.handle, name)
	if err != 0 {
		return nil, err
	}
	if f := n.c.opened(handle); f != nil && f.unseen() {
		f.publish() // an error is told by close
		if a, err = n.c.getAttr(handle, fileAttributes); err != 0 {
			return nil, err
		}
	}
	return n.child(ctx, handle, a, out), 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if f := n.c.opened(n.made()); f != nil {
		f.publish() // an error is told by close
	}
	a, err := n.c.getAttr(n.made(), fileAttributes)
	if err != 0 {
		return err
	}
	n.fill(a, &out.Attr)
	out.SetTimeout(folderTimeout)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	var to change
	if mode, ok := in.GetMode(); ok {
		to.mode = &mode
	}
	if size, ok := in.GetSize(); ok {
		to.size = &size
	}
	if in.Valid&fuse.FATTR_ATIME != 0 {
		at, _ := in.GetATime()
		to.accessed = &setTime{in.Valid&fuse.FATTR_ATIME_NOW != 0, at}
	}
	if in.Valid&fuse.FATTR_MTIME != 0 {
		at, _ := in.GetMTime()
		to.modified = &setTime{in.Valid&fuse.FATTR_MTIME_NOW != 0, at}
	}
	uid, owned := in.GetUID()
	gid, grouped := in.GetGID()
	if owned && uid != n.c.uid || grouped && gid != n.c.uid {
		return syscall.EPERM // there is one owner
	}
	n.changed()
	f := n.c.opened(n.made())
	if f != nil {
		if err := f.publish(); err != 0 {
			return err
		}
	}
	a, err := n.c.setAttr(n.made(), to)
	if err != 0 {
		return err
	}
	if f != nil && to.size != nil {
		f.truncated()
	}
	n.fill(a, &out.Attr)
	out.SetTimeout(folderTimeout)
	return 0
}

func (n *node) Access(_ context.Context, mask uint32) syscall.Errno {
	const read, lookup, modify, extend, remove, execute = 1, 2, 4, 8, 16, 32
	var wanted uint32
	if mask&unix.R_OK != 0 {
		wanted |= read
	}
	if mask&unix.W_OK != 0 {
		wanted |= modify | extend
	}
	if mask&unix.X_OK != 0 {
		if wanted |= execute; n.IsDir() {
			wanted = wanted&^execute | lookup
		}
	}
	granted, err := n.c.access(n.made(), wanted)
	if err == 0 && granted&wanted != wanted {
		return syscall.EACCES
	}
	return err
}

func (n *node) Create(ctx context.Context, name string, flags uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	as := change{mode: &mode}
	if flags&syscall.O_TRUNC != 0 {
		as.size = new(uint64)
	}
	if place := n.draftAt(name); place != "" {
		d := n.newDraft(name, as)
		inode := n.NewInode(ctx, d.node, d.stable())
		n.c.drafts.Store(place, d)
		d.show(out)
		return inode, &open{n: d.node, f: d.f, reader: reader{f: d.f}, writes: true}, fuse.FOPEN_DIRECT_IO, 0
	}
	handle, a, err := n.c.create(n.handle, name, as, flags&syscall.O_EXCL != 0, nil)
	if err != 0 {
		return nil, nil, 0, err
	}
	inode := n.child(ctx, handle, a, out)
	opened, how := inode.Operations().(*node).opens(flags)
	return inode, opened, how, 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.ask(name)
	handle, a, err := n.c.makeFolder(n.handle, name, mode)
	if err != 0 {
		return nil, err
	}
	return n.child(ctx, handle, a, out), 0
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.ask(name)
	handle, a, err := n.c.makeLink(n.handle, name, target)
	if err != 0 {
		return nil, err
	}
	return n.child(ctx, handle, a, out), 0
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	handle := target.(*node).made()
	n.ask(name)
	target.(*node).changed()
	a, err := n.c.link(handle, n.handle, name)
	if err != 0 {
		return nil, err
	}
	return n.child(ctx, handle, a, out), 0
}

// inUse returns the file behind a name if it is open here and has no hidden name yet.
func (n *node) inUse(name string) *file {
	if child := n.GetChild(name); child != nil {
		if f := n.c.opened(child.Operations().(*node).made()); f != nil && !f.hidden() {
			return f
		}
	}
	return nil
}

// Unlink keeps a file that is open here under a hidden name until it is closed: the server knows
// nothing of open files.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	err := n.unlink(name)
	n.left(name, err)
	return err
}

func (n *node) unlink(name string) syscall.Errno {
	if f := n.inUse(name); f != nil {
		hidden := n.c.nameToHide()
		if err := n.c.rename(f.handle, n.handle, name, n.handle, hidden); err != 0 {
			return err
		}
		if !f.hide(n.handle, hidden) {
			return n.c.remove(n.handle, hidden)
		}
		return 0
	}
	return n.c.remove(n.handle, name)
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.c.remove(n.handle, name)
}

// keep has a file that is about to be replaced, and that is open here, live on under a hidden name,
// without a moment in which its own leads nowhere.
func (n *node) keep(name string) syscall.Errno {
	f := n.inUse(name)
	if f == nil {
		return 0
	}
	hidden := n.c.nameToHide()
	if _, err := n.c.link(f.handle, n.handle, hidden); err != 0 && err != syscall.ESTALE {
		return err
	} else if err == 0 && !f.hide(n.handle, hidden) {
		n.c.remove(n.handle, hidden)
	}
	return 0
}

func (n *node) Rename(_ context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	to := newParent.(*node)
	to.ask(newName)
	if err := to.keep(newName); err != 0 {
		return err
	}
	var handle []byte
	if child := n.GetChild(name); child != nil {
		handle = child.Operations().(*node).made()
	}
	err := n.c.rename(handle, n.handle, name, to.handle, newName)
	n.left(name, err)
	return err
}

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) { return n.c.readLink(n.handle) }

// Readdir reads the whole folder, so that what is removed meanwhile shifts nothing.
func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	var listed []fuse.DirEntry
	cookie, verifier := uint64(0), make([]byte, 8)
	for last := false; !last; {
		var some []entry
		var err syscall.Errno
		if some, verifier, last, err = n.c.readFolder(n.handle, cookie, verifier); err != 0 {
			return nil, err
		}
		for _, one := range some {
			listed = append(listed, fuse.DirEntry{Name: one.name, Ino: one.id, Mode: kind(one.kind)})
			cookie = one.cookie
		}
		if len(some) == 0 && !last {
			return nil, syscall.EIO
		}
	}
	return fs.NewListDirStream(listed), 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	opened, how := n.opens(flags)
	return opened, how, 0
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	a, err := n.c.getAttr(n.made(), spaceAttributes)
	if err != 0 {
		return err
	}
	out.Bsize, out.Frsize, out.NameLen = ioSize, 4096, 255
	out.Blocks, out.Bfree, out.Bavail = a.spaceAll/4096, a.spaceFree/4096, a.spaceAvail/4096
	out.Files, out.Ffree = a.filesTotal, a.filesFree
	return 0
}

// Fsync has nothing to do for a folder, as the server makes names last before it answers, and says
// so in a way that the kernel does not ask again.
func (n *node) Fsync(_ context.Context, f fs.FileHandle, _ uint32) syscall.Errno {
	if o, ok := f.(*open); ok {
		return o.f.flush()
	}
	return syscall.ENOSYS
}

// Setxattr knows one attribute, which is none: it gives a draft its own name.
func (n *node) Setxattr(_ context.Context, attribute string, value []byte, _ uint32) syscall.Errno {
	if attribute != nameAttribute {
		return syscall.ENOTSUP // with ENOSYS the kernel would never ask again
	}
	if n.draft == nil {
		return syscall.EINVAL
	}
	return n.draft.publish(string(value))
}

func (n *node) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func (n *node) Listxattr(context.Context, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func (n *node) Removexattr(context.Context, string) syscall.Errno { return syscall.ENOSYS }

// open is an open file of the kernel's.
type open struct {
	n      *node
	f      *file
	reader reader
	writes bool
}

// opens returns an open file, and how the kernel has to treat it: what is read and written goes
// through without the kernel's copy of it, in pieces as large as they come; and who only reads need
// not be told anything when it is closed.
func (n *node) opens(flags uint32) (*open, uint32) {
	f := n.c.open(n.made())
	o := &open{n: n, f: f, reader: reader{f: f}, writes: flags&syscall.O_ACCMODE != syscall.O_RDONLY}
	if !o.writes {
		return o, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
	}
	return o, fuse.FOPEN_DIRECT_IO
}

func (o *open) Read(_ context.Context, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	return o.reader.read(uint64(offset), uint64(len(dest)), o.n.size.Load())
}

func (o *open) Write(_ context.Context, data []byte, offset int64) (uint32, syscall.Errno) {
	if err := o.f.write(data, uint64(offset)); err != 0 {
		return 0, err
	}
	for end := uint64(offset) + uint64(len(data)); ; {
		if size := o.n.size.Load(); size >= end || o.n.size.CompareAndSwap(size, end) {
			break
		}
	}
	return uint32(len(data)), 0
}

func (o *open) Flush(context.Context) syscall.Errno {
	if !o.writes {
		return 0
	}
	return o.f.flush()
}

func (o *open) Release(context.Context) syscall.Errno {
	o.reader.close()
	o.f.close()
	return 0
}
