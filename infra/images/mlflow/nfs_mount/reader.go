package main

import (
	"sync"
	"syscall"
)

// ahead is how many blocks are fetched at most before they are asked for: the kernel asks for 128 KiB at
// a time, which is too little to keep a connection busy.
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
	failed syscall.Errno
}

// read returns length bytes, fewer only at the end of the file; size is the file's, as last heard.
func (r *reader) read(offset, length, size uint64) ([]byte, syscall.Errno) {
	if err := r.f.publish(); err != 0 {
		return nil, err
	}
	number, skip := offset/ioSize, offset%ioSize
	got := r.block(number, size)
	if got == nil {
		return r.f.c.read(r.f.handle, offset, uint32(length))
	}
	<-got.done
	if got.failed != 0 {
		r.drop(number, got)
		return nil, got.failed
	}
	end := number*ioSize + uint64(len(got.data))
	if offset+length <= end || end >= size {
		there := uint64(len(got.data))
		return got.data[min(skip, there):min(skip+length, there)], 0
	}
	// Across blocks, or beyond what was the end when the block was read.
	return r.f.c.read(r.f.handle, offset, uint32(length))
}

// block returns a block, and starts to fetch those behind it; nil: the file is not read in order.
func (r *reader) block(number, size uint64) *block {
	edition := r.f.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if edition != r.edition {
		r.blocks, r.edition = nil, edition
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
	for old := range r.blocks {
		if old+1 < number || old > number+r.ahead {
			delete(r.blocks, old)
		}
	}
	for next := number; next <= number+r.ahead; next++ {
		if r.blocks[next] == nil && (next == number || next*ioSize < size) {
			r.fetch(next)
		}
	}
	return r.blocks[number]
}

func (r *reader) fetch(number uint64) {
	b := &block{done: make(chan struct{})}
	if r.blocks == nil {
		r.blocks = map[uint64]*block{}
	}
	r.blocks[number] = b
	go func() {
		b.data, b.failed = r.f.c.read(r.f.handle, number*ioSize, ioSize)
		close(b.done)
	}()
}

func (r *reader) drop(number uint64, b *block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocks[number] == b {
		delete(r.blocks, number)
	}
}
