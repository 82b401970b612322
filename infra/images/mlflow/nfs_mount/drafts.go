package main

import (
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// draftsVariable tells the command beside the mount what the names of its drafts contain: files that
// it makes, writes and renames by this mount alone, so that nobody else knows of them. Whether one is
// there needs no question to the server, which the kernel has before it makes and before it renames
// one; and the server makes it when its data is there to go with it.
const draftsVariable = "NFS_DRAFTS"

// nameAttribute, set to a name, has a draft on stable storage and gives it that name in its folder, in
// place of whatever has it: as fsync and rename do, but in one request where the draft is small.
const nameAttribute = "user.nfs-mount.name"

// draft is a file that is made as one.
type draft struct {
	place  string
	folder *node
	name   string
	as     change
	f      *file
	node   *node
	shown  attributes // but for the size

	making sync.Mutex
	tried  bool // guarded by making
	failed syscall.Errno
}

// asked stands for a draft that the server has to be asked for.
var asked = &draft{}

// draftAt returns the place of a draft with a name in a folder; nothing if that is no draft's name.
func (n *node) draftAt(name string) string {
	if !strings.Contains(name, n.c.draftMark) {
		return ""
	}
	return string(n.handle) + name
}

// newDraft returns a draft that is open once, and that the server does not know of yet.
func (n *node) newDraft(name string, as change) *draft {
	now := time.Now()
	d := &draft{place: n.draftAt(name), folder: n, name: name, as: as}
	d.shown = attributes{mode: *as.mode, links: 1, accessed: now, changed: now, modified: now}
	d.f = &file{c: n.c, draft: d, opens: 1}
	d.node = &node{c: n.c, draft: d}
	return d
}

// show fills the kernel's entry for the draft.
func (d *draft) show(out *fuse.EntryOut) *fs.Inode {
	now := d.shown
	now.size = d.node.size.Load()
	d.node.fill(now, &out.Attr)
	out.SetAttrTimeout(folderTimeout)
	return d.node.EmbeddedInode()
}

// stable returns a number that no file of the server is likely to have.
func (d *draft) stable() fs.StableAttr {
	return fs.StableAttr{Mode: syscall.S_IFREG, Ino: 1<<63 | uint64(d.node.c.hides.Add(1))}
}

// make has the server make the file unless it was tried before, and tells whether data went with it,
// and whether the file has the further name then.
func (d *draft) make(data *chunk, further string) (written, named bool, err syscall.Errno) {
	d.making.Lock()
	defer d.making.Unlock()
	if d.tried {
		return false, false, d.failed
	}
	d.tried = true
	c := d.node.c
	var handle []byte
	handle, _, named, d.failed = c.createAs(d.folder.handle, d.name, d.as, false, data, further)
	d.node.handle, d.f.handle = handle, handle
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	if handle != nil && d.f.opens > 0 {
		c.files.known[string(handle)] = d.f
	}
	return data != nil, named, d.failed
}

// made returns the file's handle, after making it if it is a draft that the server does not know of.
func (n *node) made() []byte {
	if n.draft != nil {
		n.draft.make(nil, "") // an error is told by close; there is no handle then
	}
	return n.handle
}

// publish has the draft on stable storage under another name.
func (d *draft) publish(name string) syscall.Errno {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") ||
		d.folder.draftAt(name) != "" {
		return syscall.EINVAL
	}
	if err := d.folder.keep(name); err != 0 {
		return err
	}
	named, err := d.f.named(name)
	if err == 0 && !named {
		err = d.node.c.rename(d.f.handle, d.folder.handle, d.name, d.folder.handle, name)
	}
	d.folder.left(d.name, err)
	if err == 0 {
		d.node.c.past.add(d)
	}
	return err
}

// past are drafts whose names the kernel still knows, since they got others by the attribute. It would
// keep them, and have us keep each, until its memory runs short.
type past struct {
	mu     sync.Mutex
	drafts []*draft
}

func (p *past) add(d *draft) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drafts = append(p.drafts, d); len(p.drafts) == 1 {
		time.AfterFunc(time.Second, p.drop)
	}
}

// drop waits for whoever changes the folder, so that no request may wait for it.
func (p *past) drop() {
	p.mu.Lock()
	drafts := p.drafts
	p.drafts = nil
	p.mu.Unlock()
	for _, d := range drafts {
		d.folder.NotifyEntry(d.name)
	}
}

// ask has the server asked for a name from now on.
func (n *node) ask(name string) {
	if place := n.draftAt(name); place != "" {
		n.c.drafts.Store(place, asked)
	}
}

// changed notes that a file's attributes are others than those that it was made with.
func (n *node) changed() {
	if n.draft != nil {
		n.c.drafts.CompareAndSwap(n.draft.place, n.draft, asked)
	}
}

// left notes that a name was removed, or an error that tells nothing of whether it was.
func (n *node) left(name string, err syscall.Errno) {
	if place := n.draftAt(name); place != "" && err == 0 {
		n.c.drafts.Delete(place)
	} else {
		n.ask(name)
	}
}
