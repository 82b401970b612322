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

// draft is a file that is made as one.
type draft struct {
	place  string
	folder []byte
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
	d := &draft{place: n.draftAt(name), folder: n.handle, name: name, as: as}
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

// make has the server make the file unless it was tried before, and tells whether data went with it.
func (d *draft) make(data *chunk) (bool, syscall.Errno) {
	d.making.Lock()
	defer d.making.Unlock()
	if d.tried {
		return false, d.failed
	}
	d.tried = true
	c := d.node.c
	var handle []byte
	handle, _, d.failed = c.create(d.folder, d.name, d.as, false, data)
	d.node.handle, d.f.handle = handle, handle
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	if handle != nil && d.f.opens > 0 {
		c.files.known[string(handle)] = d.f
	}
	return data != nil, d.failed
}

// made returns the file's handle, after making it if it is a draft that the server does not know of.
func (n *node) made() []byte {
	if n.draft != nil {
		n.draft.make(nil) // an error is told by close; there is no handle then
	}
	return n.handle
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
