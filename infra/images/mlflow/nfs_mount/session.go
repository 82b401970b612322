package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	program       = 100003
	lastFragment  = 1 << 31
	headers       = 1024 // bytes at most around the data of a READ or WRITE
	ioSize        = 1 << 20
	shortData     = 64 << 10 // bytes that are rather copied than sent apart from their header
	wantedSlots   = 64
	setupTimeout  = 30 * time.Second
	retryPause    = 250 * time.Millisecond
	silentTimeout = 2 * time.Second

	faultPause   = 5 * time.Millisecond
	faultTimeout = 5 * time.Second // for which answers of a fault to one request are not believed
)

var errBroken = errors.New("the connection to the NFS server broke")

// request is a COMPOUND without its SEQUENCE; tail, if any, is the data that ends its last
// operation.
type request struct {
	encoder
	count uint32
	tail  []byte
}

func (r *request) op(code uint32) { r.u32(code); r.count++ }

// reply is what follows the SEQUENCE of a COMPOUND's result.
type reply struct {
	decoder
	record []byte // all of it
	// again is set when an earlier attempt may have been carried out, its answer being lost.
	again bool
}

// op expects the result of operation code and returns its error.
func (r *reply) op(code uint32) syscall.Errno {
	found, status := r.u32(), r.u32()
	if r.bad || found != code {
		return syscall.EIO
	}
	return errno(status)
}

// client carries requests out over one connection at a time, and makes a new one as needed. It
// keeps no file open on the server, so a server that restarts takes nothing of ours with it:
// READ and WRITE use the anonymous state id (RFC 8881, section 8.2.3).
type client struct {
	address string
	uid     uint32
	timeout time.Duration
	owner   []byte

	mu      sync.Mutex
	session *session
	changed chan struct{} // closed and replaced with each new session
	problem error         // of the last attempt to connect

	silent    atomic.Bool   // a request waited for the whole timeout, and nothing has come since it began
	heard     atomic.Int64  // when the last answer came, in nanoseconds
	ioSize    atomic.Uint32 // bytes of data that the server takes and sends at once
	names     atomic.Bool   // a request may have as many operations as makes, writes and names a file
	unsettled atomic.Int64
	hides     atomic.Int64
	files     files
	draftMark string   // what names of drafts contain
	drafts    sync.Map // drafts by their places
	past      past
}

func newClient(host string, uid uint32, timeout time.Duration) *client {
	c := &client{address: host, uid: uid, timeout: timeout, changed: make(chan struct{})}
	c.owner = make([]byte, 16)
	rand.Read(c.owner)
	c.draftMark = fmt.Sprintf("%x", c.owner)
	c.files.known = map[string]*file{}
	go c.keep()
	return c
}

// keep holds a session: it connects, renews the lease, and connects again.
func (c *client) keep() {
	for {
		s, lease, err := c.connect()
		if err != nil {
			c.mu.Lock()
			c.problem = err
			c.mu.Unlock()
			time.Sleep(retryPause)
			continue
		}
		c.mu.Lock()
		c.session, c.problem = s, nil
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		tick := time.NewTicker(lease / 3)
		for s.alive() {
			select {
			case <-s.broken:
			case <-tick.C:
				c.renew(s)
			}
		}
		tick.Stop()
		c.mu.Lock()
		c.session, c.problem = nil, s.reason
		c.mu.Unlock()
		time.Sleep(retryPause)
	}
}

// renew sends a lone SEQUENCE, which renews the lease and shows that the server is there.
func (c *client) renew(s *session) {
	select {
	case one := <-s.slots:
		s.sequenced(&request{}, c.uid, one, time.After(c.timeout))
	default: // every slot is in use, and each use renews it
	}
}

// current waits for a session.
func (c *client) current(deadline <-chan time.Time) (*session, error) {
	for {
		c.mu.Lock()
		s, changed, problem := c.session, c.changed, c.problem
		c.mu.Unlock()
		if s != nil && s.alive() {
			return s, nil
		}
		select {
		case <-changed:
		case <-time.After(retryPause):
		case <-deadline:
			return nil, problem
		}
	}
}

// call carries a request out, however often the connection breaks or the server asks for
// patience, within the timeout. Once a request has waited so long in vain, others wait only
// briefly until the server is heard again. nfs-ganesha tells of a fault while what it is asked about
// is being replaced, which takes as long as its disk does, and then what it means: that it is gone.
func (c *client) call(r *request) (*reply, syscall.Errno) {
	wait := c.timeout
	if c.silent.Load() {
		wait = silentTimeout
	}
	began := time.Now().UnixNano()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	late := func() (*reply, syscall.Errno) {
		// A server that answers others is slow, not silent.
		if c.heard.Load() < began {
			c.silent.Store(true)
		}
		return nil, syscall.EIO
	}
	again := false
	var fault time.Time // the first answer of one
	for {
		s, err := c.current(timer.C)
		if err != nil || s == nil {
			return late()
		}
		var one *slot
		select {
		case one = <-s.slots:
		case <-s.broken:
			continue
		case <-timer.C:
			return late()
		}
		answer, status, err := s.sequenced(r, c.uid, one, timer.C)
		switch {
		case errors.Is(err, errBroken):
			again = true
			continue
		case err != nil:
			return late()
		}
		pause := time.Duration(0)
		switch {
		case status == nfsDelay || status == nfsGrace:
			pause = retryPause
		case status == nfsFault:
			if fault.IsZero() {
				fault = time.Now()
			}
			if time.Since(fault) < faultTimeout {
				pause = faultPause
			}
		}
		if pause > 0 {
			// A step before the one that was refused may have been carried out.
			again = true
			select {
			case <-time.After(pause):
				continue
			case <-timer.C:
				return nil, syscall.EIO
			}
		}
		answer.again = again
		return answer, 0
	}
}

// session is one connection with its NFSv4.1 session. A new connection gets a new session under
// a new verifier, by which the server drops the old one.
type session struct {
	conn   net.Conn
	id     []byte
	slots  chan *slot
	broken chan struct{}
	reason error
	client *client

	writing sync.Mutex
	mu      sync.Mutex
	waiting map[uint32]chan []byte
	xid     uint32
}

type slot struct{ number, sequence uint32 }

func (s *session) alive() bool {
	select {
	case <-s.broken:
		return false
	default:
		return true
	}
}

func (s *session) fail(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive() {
		s.reason = reason
		close(s.broken)
		s.conn.Close()
	}
}

// connect makes a session, and returns the lease time.
func (c *client) connect() (*session, time.Duration, error) {
	dialer := net.Dialer{
		Timeout: 5 * time.Second,
		Control: func(_, _ string, raw syscall.RawConn) (err error) {
			// How long sent data may go unacknowledged, in milliseconds.
			problem := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT,
					int(c.timeout.Milliseconds()))
			})
			return errors.Join(problem, err)
		},
	}
	conn, err := dialer.Dial("tcp", c.address)
	if err != nil {
		return nil, 0, err
	}
	s := &session{conn: conn, client: c, broken: make(chan struct{}), waiting: map[uint32]chan []byte{}}
	go s.receive()
	lease, err := s.setUp(c)
	if err != nil {
		s.fail(err)
		return nil, 0, err
	}
	return s, lease, nil
}

func (s *session) setUp(c *client) (time.Duration, error) {
	deadline := time.After(setupTimeout)
	plain := func(r *request) (*reply, error) {
		answer, status, err := s.exchange(header(r, c.uid, nil, nil), r.tail, deadline)
		if err == nil && status != 0 {
			err = fmt.Errorf("the NFS server refused the session: status %d", status)
		}
		return answer, err
	}
	var verifier [8]byte
	rand.Read(verifier[:])
	r := &request{}
	r.op(opExchangeID)
	r.fixed(verifier[:])
	r.opaque(c.owner)
	r.u32(useNonPNFS, 0, 0)
	answer, err := plain(r)
	if err != nil {
		return 0, err
	}
	answer.op(opExchangeID)
	id, sequence := answer.u64(), answer.u32()

	r = &request{}
	r.op(opCreateSession)
	r.u64(id)
	r.u32(sequence, 0)
	r.u32(0, ioSize+headers, ioSize+headers, headers, 16, wantedSlots, 0)
	r.u32(0, 4096, 4096, 0, 2, 1, 0)
	r.u32(0, 1, 0)
	if answer, err = plain(r); err != nil {
		return 0, err
	}
	answer.op(opCreateSession)
	s.id = append([]byte(nil), answer.fixed(16)...)
	answer.fixed(4 * 3)
	size := min(answer.u32(), answer.u32())
	answer.fixed(4)
	operations, slots := answer.u32(), answer.u32()
	if answer.bad || slots == 0 || size < 16*headers {
		return 0, fmt.Errorf("the NFS server takes messages of %d bytes in %d slots: too few", size, slots)
	}
	c.ioSize.Store(min(ioSize, size-headers))
	c.names.Store(operations >= 11)
	s.slots = make(chan *slot, slots)
	for number := range slots {
		s.slots <- &slot{number, 1}
	}

	// Nothing of ours is reclaimed: whoever waits for that may go on.
	r = &request{}
	r.op(opReclaimComplete)
	r.u32(0)
	r.op(opPutRootFH)
	r.op(opGetAttr)
	r.u32(1, 1<<attrLeaseTime)
	answer, status, err := s.sequenced(r, c.uid, <-s.slots, deadline)
	if err != nil {
		return 0, err
	}
	if status != 0 {
		return 0, fmt.Errorf("the NFS server refused the session: status %d", status)
	}
	answer.op(opReclaimComplete)
	answer.op(opPutRootFH)
	answer.op(opGetAttr)
	answer.bitmap()
	answer.u32()
	lease := answer.u32()
	if answer.bad || lease == 0 {
		return 0, errors.New("the NFS server names no lease time")
	}
	return time.Duration(lease) * time.Second, nil
}

// sequenced sends a request in a slot, and gives the slot back whenever its answer comes.
// Returned are the answer after its SEQUENCE and the COMPOUND's status.
func (s *session) sequenced(r *request, uid uint32, one *slot, deadline <-chan time.Time) (*reply, uint32, error) {
	answer, status, err := s.exchange(header(r, uid, s, one), r.tail, deadline)
	var late *lateError
	if errors.As(err, &late) {
		go func() {
			select {
			case <-late.answer:
				one.sequence++
				s.slots <- one
			case <-s.broken:
			}
		}()
		return nil, 0, err
	}
	if err != nil {
		s.fail(err)
		return nil, 0, errBroken
	}
	switch refused := answer.op(opSequence); {
	case refused != 0 && status == nfsDelay:
		s.slots <- one
		return answer, status, nil
	case refused != 0:
		s.fail(fmt.Errorf("the NFS server ended the session: status %d", status))
		return nil, 0, errBroken
	}
	answer.fixed(16 + 5*4)
	one.sequence++
	s.slots <- one
	return answer, status, nil
}

// lateError says that the deadline passed; the answer may come yet.
type lateError struct{ answer chan []byte }

func (*lateError) Error() string { return "the NFS server does not answer" }

// exchange sends a message, whose transaction number is still zero, and waits for its answer.
func (s *session) exchange(message, tail []byte, deadline <-chan time.Time) (*reply, uint32, error) {
	answer := make(chan []byte, 1)
	s.mu.Lock()
	s.xid++
	xid := s.xid
	s.waiting[xid] = answer
	s.mu.Unlock()
	pad := zeros[:padding(len(tail))]
	binary.BigEndian.PutUint32(message, lastFragment|uint32(len(message)-4+len(tail)+len(pad)))
	binary.BigEndian.PutUint32(message[4:], xid)
	sent := make(chan struct{})
	if len(tail) <= shortData && s.writing.TryLock() {
		message = append(append(message, tail...), pad...)
		if written := s.sendNow(message); written == len(message) {
			s.writing.Unlock()
			close(sent)
		} else {
			go s.send(net.Buffers{message[written:]}, sent)
		}
	} else {
		go func() {
			s.writing.Lock()
			s.send(net.Buffers{message, tail, pad}, sent)
		}()
	}
	select {
	case record := <-answer:
		// The buffers are free once the write has returned, which it has to before the answer.
		<-sent
		return parse(record)
	case <-s.broken:
		<-sent
		return nil, 0, errBroken
	case <-deadline:
		return nil, 0, &lateError{answer}
	}
}

// sendNow writes what the connection takes without waiting, and returns how much that was. Most
// messages are short and go so, without a goroutine of their own.
func (s *session) sendNow(message []byte) (written int) {
	raw, err := s.conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0
	}
	raw.Write(func(fd uintptr) bool {
		written, _ = unix.Write(int(fd), message)
		return true
	})
	return max(written, 0)
}

// send writes parts; who calls it has locked writing, which is unlocked at the end.
func (s *session) send(parts net.Buffers, sent chan<- struct{}) {
	defer close(sent)
	defer s.writing.Unlock()
	if _, err := parts.WriteTo(s.conn); err != nil {
		s.fail(err)
	}
}

// buffers holds what large answers were read into, to be used again: to clear and to collect one
// for each block of a large file costs a fifth of its transfer.
var buffers = sync.Pool{New: func() any { return new([ioSize + headers]byte) }}

func buffer(length int) []byte {
	if length <= ioSize/2 {
		return make([]byte, length)
	}
	return buffers.Get().(*[ioSize + headers]byte)[:length]
}

// reuse takes back a buffer of which nobody uses anything any more.
func reuse(b []byte) {
	if cap(b) == ioSize+headers {
		buffers.Put((*[ioSize + headers]byte)(b[:cap(b)]))
	}
}

// receive hands each answer to whoever waits for it.
func (s *session) receive() {
	for {
		var mark [4]byte
		var record []byte
		for last := false; !last; {
			if _, err := io.ReadFull(s.conn, mark[:]); err != nil {
				s.fail(err)
				return
			}
			length := binary.BigEndian.Uint32(mark[:])
			last = length&lastFragment != 0
			length &^= lastFragment
			if len(record)+int(length) > ioSize+headers {
				s.fail(errors.New("the NFS server sent more than was asked for"))
				return
			}
			part := buffer(int(length))
			if _, err := io.ReadFull(s.conn, part); err != nil {
				s.fail(err)
				return
			}
			if record == nil {
				record = part
			} else {
				record = append(record, part...)
			}
		}
		if len(record) < 4 {
			s.fail(errors.New("the NFS server sent an empty record"))
			return
		}
		s.client.heard.Store(time.Now().UnixNano())
		s.client.silent.Store(false)
		xid := binary.BigEndian.Uint32(record)
		s.mu.Lock()
		answer := s.waiting[xid]
		delete(s.waiting, xid)
		s.mu.Unlock()
		if answer != nil {
			answer <- record
		}
	}
}

// header returns a message up to the tail of the request: record mark, call (RFC 5531),
// AUTH_SYS credentials, COMPOUND and, with a session, SEQUENCE (RFC 8881).
func header(r *request, uid uint32, s *session, one *slot) []byte {
	e := &encoder{make([]byte, 0, 256+len(r.bytes))}
	e.u32(0, 0, 0, 2, program, 4, 1)
	// The machine's name in it is empty, and there are no further groups.
	e.u32(1, 20, 0, 0, uid, uid, 0)
	e.u32(0, 0)
	e.text("")
	e.u32(1)
	if s == nil {
		e.u32(r.count)
	} else {
		e.u32(r.count+1, opSequence)
		e.fixed(s.id)
		e.u32(one.sequence, one.number, uint32(cap(s.slots)-1), 0)
	}
	e.bytes = append(e.bytes, r.bytes...)
	return e.bytes
}

// parse returns the results of a COMPOUND and its status.
func parse(record []byte) (*reply, uint32, error) {
	d := &reply{decoder: decoder{bytes: record}, record: record}
	d.u32()
	kind, accepted := d.u32(), d.u32()
	d.u32()
	d.opaque()
	outcome := d.u32()
	if d.bad || kind != 1 || accepted != 0 || outcome != 0 {
		return nil, 0, fmt.Errorf("the NFS server refused the call: %d, %d, %d", kind, accepted, outcome)
	}
	status := d.u32()
	d.opaque()
	d.u32()
	return d, status, nil
}
