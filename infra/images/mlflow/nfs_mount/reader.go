package main

import (
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// ahead is how many blocks are fetched at most before they are asked for: who reads waits for one
// read at a time, which does not keep a connection busy.
const ahead = 3

// reader reads one open file, ahead where it is read in order.
type reader struct {
	f *file

	mu      sync.Mutex
	blocks  map[uint64]*block
	last    uint64
	ahead   uint64
	edition int
}

// block is a stretch of ioSize bytes at a multiple of that, shorter at the end of the file.
type block struct {
	done   chan struct{} // closed when what follows is known
	data   []byte
	in     []byte // the buffer of the data
	failed syscall.Errno

	users   int  // results that show its data; guarded by reader.mu
	dropped bool // guarded by reader.mu
}

// result is what a read returns, part of a block that is kept until it has gone to the kernel.
type result struct {
	data []byte
	r    *reader
	of   *block
}

func (s *result) Bytes([]byte) ([]byte, fuse.Status) { return s.data, fuse.OK }
func (s *result) Size() int                          { return len(s.data) }
func (s *result) Done()                              { s.r.leave(s.of) }

// read returns length bytes, fewer only at the end of the file; size is the file's, as last heard.
func (r *reader) read(offset, length, size uint64) (fuse.ReadResult, syscall.Errno) {
	if err := r.f.publish(); err != 0 {
		return nil, err
	}
	number, skip := offset/ioSize, offset%ioSize
	if got := r.block(number, size); got != nil {
		<-got.done
		if got.failed != 0 {
			r.leave(got)
			r.drop(number, got)
			return nil, got.failed
		}
		there := uint64(len(got.data))
		if end := number*ioSize + there; offset+length <= end || end >= size {
			return &result{got.data[min(skip, there):min(skip+length, there)], r, got}, 0
		}
		// Across blocks, or beyond what was the end when the block was read.
		r.leave(got)
	}
	data, _, err := r.f.c.read(r.f.handle, offset, uint32(length))
	return fuse.ReadResultData(data), err
}

// block returns a block, to be left when it was used, and starts to fetch those behind it; nil: the
// file is not read in order.
func (r *reader) block(number, size uint64) *block {
	edition := r.f.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if edition != r.edition {
		r.forget(func(uint64) bool { return true })
		r.edition = edition
	}
	inOrder := number == 0 || number == r.last || number == r.last+1 || r.blocks[number] != nil
	if number == r.last+1 {
		r.ahead = min(r.ahead+1, ahead)
	}
	r.last = number
	if !inOrder {
		r.ahead = 0
		return nil
	}
	r.forget(func(old uint64) bool { return old+1 < number || old > number+r.ahead })
	for next := number; next <= number+r.ahead; next++ {
		if r.blocks[next] == nil && (next == number || next*ioSize < size) {
			r.fetch(next)
		}
	}
	r.blocks[number].users++
	return r.blocks[number]
}

func (r *reader) fetch(number uint64) {
	b := &block{done: make(chan struct{})}
	if r.blocks == nil {
		r.blocks = map[uint64]*block{}
	}
	r.blocks[number] = b
	go func() {
		b.data, b.in, b.failed = r.f.c.read(r.f.handle, number*ioSize, ioSize)
		close(b.done)
	}()
}

func (r *reader) drop(number uint64, b *block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(func(old uint64) bool { return old == number && r.blocks[old] == b })
}

// close lets go of what was fetched.
func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(func(uint64) bool { return true })
}

// forget drops blocks by their numbers.
func (r *reader) forget(which func(uint64) bool) {
	for number, b := range r.blocks {
		if which(number) {
			b.dropped = true
			b.recycle()
			delete(r.blocks, number)
		}
	}
}

// leave tells that a block's data is used once less.
func (r *reader) leave(b *block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.users--
	b.recycle()
}

// recycle gives the buffer of a block back that nobody uses and nobody will.
func (b *block) recycle() {
	select {
	case <-b.done:
		if b.dropped && b.users == 0 {
			reuse(b.in)
			b.data, b.in = nil, nil
		}
	default: // whoever fetches it has it
	}
}
