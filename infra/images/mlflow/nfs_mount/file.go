package main

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
)

const (
	commitSize  = 8 << 20  // bytes of one file that are committed while more is written
	fileLimit   = 24 << 20 // bytes of one file that are kept at most
	clientLimit = 64 << 20 // bytes of all files
)

// files knows every file that is open here by its handle: all who have it open, or ask for its
// attributes, see the same data.
type files struct {
	mu    sync.Mutex
	known map[string]*file
}

// file is a file that is open here. Data that was written is kept until the server has committed
// it: should the server restart before that, it is sent again.
type file struct {
	c      *client
	handle []byte
	draft  *draft // if it was made as one: there is no handle before the server has made it

	opens int // guarded by files.mu
	// A name that only this client knows, by which the file outlives its last one until it is
	// closed; guarded by files.mu.
	hiddenIn   []byte
	hiddenName string

	mu         sync.Mutex
	filling    *chunk
	sent       []*chunk
	committing *batch // sent before those in sent
	bytes      int64  // of all three
	failed     syscall.Errno
	edition    int // changes with the content
}

// batch is what one commit under way makes stable.
type batch struct {
	chunks []*chunk
	done   chan struct{} // closed with the answer: what follows is known then
	life   []byte
	failed syscall.Errno
}

// chunk is a stretch of written data.
type chunk struct {
	offset   uint64
	data     []byte
	done     chan struct{} // closed with the answer: what follows is known then
	verifier []byte
	failed   syscall.Errno
}

func (k *chunk) end() uint64 { return k.offset + uint64(len(k.data)) }

// open returns the file with a handle, to be given back with close.
func (c *client) open(handle []byte) *file {
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	f := c.files.known[string(handle)]
	if f == nil {
		f = &file{c: c, handle: handle}
		c.files.known[string(handle)] = f
	}
	f.opens++
	return f
}

// opened returns the file with a handle if it is open here.
func (c *client) opened(handle []byte) *file {
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	return c.files.known[string(handle)]
}

func (f *file) close() {
	f.c.files.mu.Lock()
	f.opens--
	last := f.opens == 0
	if last {
		delete(f.c.files.known, string(f.handle))
	}
	f.c.files.mu.Unlock()
	if !last {
		return
	}
	f.mu.Lock()
	f.settle()
	f.mu.Unlock()
	if f.hiddenIn != nil {
		f.c.remove(f.hiddenIn, f.hiddenName)
	}
}

// hide remembers the name that keeps the file until it is closed here for the last time; false:
// it is not open.
func (f *file) hide(folder []byte, name string) bool {
	f.c.files.mu.Lock()
	defer f.c.files.mu.Unlock()
	if f.opens == 0 {
		return false
	}
	f.hiddenIn, f.hiddenName = folder, name
	return true
}

func (f *file) hidden() bool {
	f.c.files.mu.Lock()
	defer f.c.files.mu.Unlock()
	return f.hiddenIn != nil
}

// nameToHide returns a name that nobody else has.
func (c *client) nameToHide() string { return fmt.Sprintf(".nfs%x%x", c.owner, c.hides.Add(1)) }

// write takes data over; an error may be of what was written before.
func (f *file) write(data []byte, offset uint64) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edition++
	for len(data) > 0 && f.failed == 0 {
		if f.filling != nil && (f.filling.end() != offset || len(f.filling.data) == ioSize) {
			f.send()
		}
		if f.filling == nil {
			f.filling = &chunk{offset: offset}
			if len(data) > ioSize/8 || len(f.sent) > 0 {
				f.filling.data = buffers.Get().(*[ioSize + headers]byte)[:0]
			}
		}
		taken := min(len(data), ioSize-len(f.filling.data))
		f.filling.data = append(f.filling.data, data[:taken]...)
		f.account(taken)
		data, offset = data[taken:], offset+uint64(taken)
		f.commit()
		if f.c.unsettled.Load() > clientLimit {
			f.settle()
		}
	}
	return f.failed
}

func (f *file) account(bytes int) {
	f.bytes += int64(bytes)
	f.c.unsettled.Add(int64(bytes))
}

// made has the server make the file if it is a draft that it does not know of, and tells whether data
// went with it, and whether the file has the further name then.
func (f *file) made(data *chunk, further string) (written, named bool) {
	if f.draft == nil {
		return false, false
	}
	written, named, err := f.draft.make(data, further)
	if f.failed == 0 {
		f.failed = err
	}
	return written, named
}

// send starts to write what is being filled.
func (f *file) send() {
	k := f.filling
	if k == nil {
		return
	}
	f.filling = nil
	if f.made(nil, ""); f.failed != 0 {
		return
	}
	for _, other := range f.outstanding() {
		if other.offset < k.end() && k.offset < other.end() {
			// The server may carry both out in any order.
			<-other.done
		}
	}
	f.sent = append(f.sent, k)
	f.post(k)
}

func (f *file) post(k *chunk) {
	k.done = make(chan struct{})
	go func() {
		k.verifier, k.failed = f.c.write(f.handle, k.offset, k.data, unstable)
		close(k.done)
	}()
}

// outstanding returns what was sent and is not known to be stable, in its order.
func (f *file) outstanding() []*chunk {
	if f.committing == nil {
		return f.sent
	}
	return append(slices.Clone(f.committing.chunks), f.sent...)
}

// commit has the server's disk work on what was sent while more is written.
func (f *file) commit() {
	if f.bytes > fileLimit {
		f.committed()
	} else if f.committing != nil {
		select {
		case <-f.committing.done:
			f.committed()
		default:
			return
		}
	}
	waiting := 0
	for _, k := range f.sent {
		waiting += len(k.data)
	}
	if waiting < commitSize {
		return
	}
	b := &batch{chunks: f.sent, done: make(chan struct{})}
	f.committing, f.sent = b, nil
	go func() {
		defer close(b.done)
		for _, k := range b.chunks {
			if <-k.done; k.failed != 0 {
				b.failed = k.failed
				return
			}
		}
		b.life, b.failed = f.c.commit(f.handle)
	}()
}

// committed waits for the commit under way. What it did not make stable counts as sent again:
// settle finds out.
func (f *file) committed() {
	b := f.committing
	if b == nil {
		return
	}
	<-b.done
	f.committing = nil
	if f.failed == 0 {
		f.failed = b.failed
	}
	if b.failed != 0 || firstLost(b.chunks, b.life) < len(b.chunks) {
		f.sent = append(b.chunks, f.sent...)
		f.settle()
		return
	}
	for _, k := range b.chunks {
		f.account(-len(k.data))
		reuse(k.data)
	}
}

// firstLost returns the index of the first chunk that went to another life of the server than the
// one that committed; the length if there is none.
func firstLost(chunks []*chunk, life []byte) int {
	lost := func(k *chunk) bool { return k.verifier != nil && string(k.verifier) != string(life) }
	if first := slices.IndexFunc(chunks, lost); first >= 0 {
		return first
	}
	return len(chunks)
}

// arrive waits until the server has everything, committed or not.
func (f *file) arrive() syscall.Errno {
	f.send()
	f.made(nil, "")
	for _, k := range f.outstanding() {
		<-k.done
		if k.failed != 0 && f.failed == 0 {
			f.failed = k.failed
		}
	}
	return f.failed
}

// settle waits until everything is on stable storage. Data that was written to an earlier life of
// the server than the one that committed is written again.
func (f *file) settle() syscall.Errno {
	_, err := f.settleAs("")
	return err
}

// settleAs also gives the name, if any, to a draft that the server does not know of and that has no
// more data than goes with its making; it tells whether it did.
func (f *file) settleAs(name string) (bool, syscall.Errno) {
	f.committed()
	defer func() {
		f.account(-int(f.bytes))
		f.sent = nil
	}()
	if f.failed != 0 {
		f.filling = nil
	}
	if k := f.filling; k != nil && len(f.sent) == 0 {
		f.filling = nil
		// A server that takes little at once has to have room for the making of the file, too.
		var written, named bool
		if len(k.data) <= min(shortData, int(f.c.ioSize.Load())/2) {
			written, named = f.made(k, name)
		}
		if !written {
			if f.made(nil, ""); f.failed == 0 {
				_, f.failed = f.c.write(f.handle, k.offset, k.data, fileSync)
			}
		}
		if f.failed == 0 {
			reuse(k.data)
		}
		return named, f.failed
	}
	for f.arrive() == 0 {
		if len(f.sent) == 0 {
			return false, 0
		}
		life, failed := f.c.commit(f.handle)
		if failed != 0 {
			f.failed = failed
			break
		}
		first := firstLost(f.sent, life)
		if first == len(f.sent) {
			for _, k := range f.sent {
				reuse(k.data)
			}
			return false, 0
		}
		// In their order, one after the other where they overlap, as they were sent at first; and
		// all that came later, which a lost one that is sent again must not overwrite.
		lost := f.sent[first:]
		f.sent = nil
		for _, k := range lost {
			f.filling = k
			f.send()
		}
	}
	return false, f.failed
}

// named makes everything stable, and tells whether that gave the draft its name.
func (f *file) named(name string) (bool, syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settleAs(name)
}

// flush makes everything stable and returns any error since the file was opened: that is what
// close and fsync tell.
func (f *file) flush() syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settle()
}

// publish lets the server, and with it all others, see what was written.
func (f *file) publish() syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.arrive()
}

// unseen tells whether something was written that the server may not have yet.
func (f *file) unseen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.filling != nil || len(f.sent) > 0 || f.committing != nil
}

// truncated notes that the content changed otherwise than by a write.
func (f *file) truncated() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edition++
}

func (f *file) now() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.edition
}
