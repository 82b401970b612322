package main

import (
	"strings"
	"syscall"
	"time"
)

// Operations, attributes and states of NFSv4.1 (RFC 8881, RFC 5662).
const (
	opAccess          = 3
	opClose           = 4
	opCommit          = 5
	opCreate          = 6
	opGetAttr         = 9
	opGetFH           = 10
	opLink            = 11
	opLookup          = 15
	opOpen            = 18
	opPutFH           = 22
	opPutRootFH       = 24
	opRead            = 25
	opReadDir         = 26
	opReadLink        = 27
	opRemove          = 28
	opRename          = 29
	opSaveFH          = 32
	opSetAttr         = 34
	opVerify          = 37
	opWrite           = 38
	opExchangeID      = 42
	opCreateSession   = 43
	opSequence        = 53
	opReclaimComplete = 58

	attrType          = 1
	attrSize          = 4
	attrLeaseTime     = 10
	attrFileID        = 20
	attrFilesFree     = 22
	attrFilesTotal    = 23
	attrMode          = 33
	attrLinks         = 35
	attrSpaceAvail    = 42
	attrSpaceFree     = 43
	attrSpaceTotal    = 44
	attrSpaceUsed     = 45
	attrAccessTime    = 47
	attrAccessTimeSet = 48
	attrChangeTime    = 52
	attrModifyTime    = 53
	attrModifyTimeSet = 54

	useNonPNFS    = 0x10000
	shareBoth     = 3
	noDelegation  = 0x400
	openCreate    = 1
	unchecked     = 0
	guarded       = 1
	typeDirectory = 2
	typeLink      = 5
	unstable      = 0
	fileSync      = 2

	nfsFault = 10006
	nfsDelay = 10008
	nfsGrace = 10013
)

// errno translates an nfsstat4: most of its small numbers are those of Linux.
func errno(status uint32) syscall.Errno {
	switch status {
	case 63:
		return syscall.ENAMETOOLONG
	case 66:
		return syscall.ENOTEMPTY
	case 69:
		return syscall.EDQUOT
	case 70, 10001, 10014:
		return syscall.ESTALE
	case 10004:
		return syscall.ENOTSUP
	case 10016:
		return syscall.EACCES
	case 10029:
		return syscall.ELOOP
	case 10040, 10041:
		return syscall.EINVAL
	}
	if status < 63 {
		return syscall.Errno(status)
	}
	return syscall.EIO
}

// attributes of a file, as far as FUSE passes them on.
type attributes struct {
	kind, mode, links               uint32
	size, id, used                  uint64
	accessed, changed, modified     time.Time
	filesFree, filesTotal           uint64
	spaceAvail, spaceFree, spaceAll uint64
}

var fileAttributes = []uint32{attrType, attrSize, attrFileID, attrMode, attrLinks, attrSpaceUsed,
	attrAccessTime, attrChangeTime, attrModifyTime}

var spaceAttributes = []uint32{attrFilesFree, attrFilesTotal, attrSpaceAvail, attrSpaceFree,
	attrSpaceTotal}

func (e *encoder) bitmap(attributes []uint32) {
	var words [2]uint32
	for _, one := range attributes {
		words[one/32] |= 1 << (one % 32)
	}
	e.u32(2, words[0], words[1])
}

func (r *request) getAttr(wanted []uint32) {
	r.op(opGetAttr)
	r.bitmap(wanted)
}

func (r *request) putFH(handle []byte) {
	r.op(opPutFH)
	r.opaque(handle)
}

// write is the last operation of a request.
func (r *request) write(offset uint64, data []byte, how uint32) {
	r.op(opWrite)
	r.anonymous()
	r.u64(offset)
	r.u32(how, uint32(len(data)))
	r.tail = data
}

// writeAll may be followed by other operations: it takes a copy of the data.
func (r *request) writeAll(offset uint64, data []byte, how uint32) {
	r.op(opWrite)
	r.anonymous()
	r.u64(offset)
	r.u32(how)
	r.opaque(data)
}

func (r *request) anonymous() { r.u32(0, 0, 0, 0) }

// change is what a SETATTR or a creation sets; nil and nothing stay as they are.
type change struct {
	size               *uint64
	mode               *uint32
	accessed, modified *setTime
}

// setTime sets a time, or the server's present one.
type setTime struct {
	now  bool
	time time.Time
}

func (e *encoder) change(c change) {
	var set []uint32
	values := &encoder{}
	if c.size != nil {
		set = append(set, attrSize)
		values.u64(*c.size)
	}
	if c.mode != nil {
		set = append(set, attrMode)
		values.u32(*c.mode & 0o7777)
	}
	if c.accessed != nil {
		set = append(set, attrAccessTimeSet)
		values.setTime(c.accessed)
	}
	if c.modified != nil {
		set = append(set, attrModifyTimeSet)
		values.setTime(c.modified)
	}
	e.bitmap(set)
	e.opaque(values.bytes)
}

func (e *encoder) setTime(value *setTime) {
	if value.now {
		e.u32(0)
		return
	}
	e.u32(1)
	e.u64(uint64(value.time.Unix()))
	e.u32(uint32(value.time.Nanosecond()))
}

// attributes reads an fattr4 of attributes that were asked for; they come in order.
func (d *decoder) attributes() (a attributes) {
	words := d.bitmap()
	d.u32()
	for word, bits := range words {
		for bit := range uint32(32) {
			if bits&(1<<bit) == 0 {
				continue
			}
			switch uint32(word)*32 + bit {
			case attrType:
				a.kind = d.u32()
			case attrSize:
				a.size = d.u64()
			case attrFileID:
				a.id = d.u64()
			case attrFilesFree:
				a.filesFree = d.u64()
			case attrFilesTotal:
				a.filesTotal = d.u64()
			case attrMode:
				a.mode = d.u32()
			case attrLinks:
				a.links = d.u32()
			case attrSpaceAvail:
				a.spaceAvail = d.u64()
			case attrSpaceFree:
				a.spaceFree = d.u64()
			case attrSpaceTotal:
				a.spaceAll = d.u64()
			case attrSpaceUsed:
				a.used = d.u64()
			case attrAccessTime:
				a.accessed = d.time()
			case attrChangeTime:
				a.changed = d.time()
			case attrModifyTime:
				a.modified = d.time()
			default:
				d.bad = true
			}
		}
	}
	return a
}

func (d *decoder) time() time.Time { return time.Unix(int64(d.u64()), int64(d.u32())) }

// end returns the error that a reply ends with: the first of a step, or that it is garbled.
func (r *reply) end(err syscall.Errno) syscall.Errno {
	if err == 0 && r.bad {
		return syscall.EIO
	}
	return err
}

// steps reads results that carry nothing, until one failed.
func (r *reply) steps(codes ...uint32) syscall.Errno {
	for _, code := range codes {
		if err := r.op(code); err != 0 {
			return err
		}
	}
	return 0
}

// found reads the results of GETFH and GETATTR.
func (r *reply) found() ([]byte, attributes, syscall.Errno) {
	if err := r.op(opGetFH); err != 0 {
		return nil, attributes{}, err
	}
	handle := r.opaque()
	if err := r.op(opGetAttr); err != 0 {
		return nil, attributes{}, err
	}
	a := r.attributes()
	return handle, a, r.end(0)
}

func (r *request) find() {
	r.op(opGetFH)
	r.getAttr(fileAttributes)
}

// mount returns the handle of an exported folder.
func (c *client) mount(path string) ([]byte, attributes, syscall.Errno) {
	r := &request{}
	r.op(opPutRootFH)
	steps := []uint32{opPutRootFH}
	for _, name := range strings.FieldsFunc(path, func(c rune) bool { return c == '/' }) {
		r.op(opLookup)
		r.text(name)
		steps = append(steps, opLookup)
	}
	r.find()
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(steps...)
	}
	if err != 0 {
		return nil, attributes{}, err
	}
	return answer.found()
}

func (c *client) lookup(folder []byte, name string) ([]byte, attributes, syscall.Errno) {
	r := &request{}
	r.putFH(folder)
	r.op(opLookup)
	r.text(name)
	r.find()
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opLookup)
	}
	if err != 0 {
		return nil, attributes{}, err
	}
	return answer.found()
}

func (c *client) getAttr(handle []byte, wanted []uint32) (attributes, syscall.Errno) {
	r := &request{}
	r.putFH(handle)
	r.getAttr(wanted)
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opGetAttr)
	}
	if err != 0 {
		return attributes{}, err
	}
	a := answer.attributes()
	return a, answer.end(0)
}

func (c *client) setAttr(handle []byte, to change) (attributes, syscall.Errno) {
	r := &request{}
	r.putFH(handle)
	r.op(opSetAttr)
	r.anonymous()
	r.change(to)
	r.getAttr(fileAttributes)
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opSetAttr)
	}
	if err != 0 {
		return attributes{}, err
	}
	answer.bitmap()
	err = answer.op(opGetAttr)
	a := answer.attributes()
	return a, answer.end(err)
}

// access returns those of the rights that the server grants.
func (c *client) access(handle []byte, rights uint32) (uint32, syscall.Errno) {
	r := &request{}
	r.putFH(handle)
	r.op(opAccess)
	r.u32(rights)
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opAccess)
	}
	if err != 0 {
		return 0, err
	}
	answer.u32()
	granted := answer.u32()
	return granted, answer.end(0)
}

// create makes a regular file, or with exclusive false takes the one that is there. The file is
// opened, as there is no other way to make one, and closed in the same breath. Data, if any, is
// on stable storage then; should that fail, the file is there all the same and returned.
func (c *client) create(folder []byte, name string, as change, exclusive bool, data *chunk) ([]byte, attributes, syscall.Errno) {
	handle, a, _, err := c.createAs(folder, name, as, exclusive, data, "")
	return handle, a, err
}

// createAs gives a file with data a further name in the same breath, in place of its first one, and
// tells whether it did: what it does not do can be done after it, as with a server that takes fewer
// operations at once.
func (c *client) createAs(folder []byte, name string, as change, exclusive bool, data *chunk, further string) ([]byte, attributes, bool, syscall.Errno) {
	if !c.names.Load() {
		further = ""
	}
	how := uint32(unchecked)
	if exclusive {
		how = guarded
	}
	r := &request{}
	r.putFH(folder)
	r.op(opSaveFH)
	r.op(opOpen)
	r.u32(0, shareBoth|noDelegation, 0)
	r.u64(0)
	r.opaque(c.owner)
	r.u32(openCreate, how)
	r.change(as)
	r.u32(0)
	r.text(name)
	r.op(opClose)
	r.u32(0, 1, 0, 0, 0) // the state that OPEN has just returned
	r.find()
	switch {
	case data != nil && further != "":
		end := data.end()
		r.writeAll(data.offset, data.data, fileSync)
		r.op(opVerify) // a server may write less than it was asked for
		r.change(change{size: &end})
		r.putFH(folder)
		r.op(opRename)
		r.text(name)
		r.text(further)
	case data != nil:
		r.write(data.offset, data.data, fileSync)
	}
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opSaveFH, opOpen)
	}
	if err != 0 {
		return nil, attributes{}, false, err
	}
	answer.fixed(16 + 4 + 16 + 4)
	answer.bitmap()
	if delegation := answer.u32(); delegation == 3 {
		if why := answer.u32(); why == 1 || why == 2 {
			answer.u32()
		}
	} else if delegation != 0 {
		return nil, attributes{}, false, syscall.EIO
	}
	if err = answer.op(opClose); err != 0 {
		return nil, attributes{}, false, err
	}
	answer.fixed(16)
	handle, a, err := answer.found()
	if err != 0 || data == nil {
		return handle, a, false, err
	}
	if err = answer.op(opWrite); err != 0 {
		return handle, a, false, err
	}
	if count, committed := answer.u32(), answer.u32(); int(count) < len(data.data) || committed != fileSync {
		_, err = c.write(handle, data.offset, data.data, fileSync)
		return handle, a, false, err
	}
	answer.fixed(8)
	named := further != "" && answer.end(answer.steps(opVerify, opPutFH, opRename)) == 0
	return handle, a, named, 0
}

func (c *client) makeFolder(folder []byte, name string, mode uint32) ([]byte, attributes, syscall.Errno) {
	return c.make(folder, name, typeDirectory, "", change{mode: &mode})
}

func (c *client) makeLink(folder []byte, name, target string) ([]byte, attributes, syscall.Errno) {
	return c.make(folder, name, typeLink, target, change{})
}

func (c *client) make(folder []byte, name string, kind uint32, target string, as change) ([]byte, attributes, syscall.Errno) {
	r := &request{}
	r.putFH(folder)
	r.op(opCreate)
	r.u32(kind)
	if kind == typeLink {
		r.text(target)
	}
	r.text(name)
	r.change(as)
	r.find()
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opCreate)
	}
	if err != 0 {
		return nil, attributes{}, err
	}
	answer.fixed(4 + 16)
	answer.bitmap()
	return answer.found()
}

// remove takes a name away. When an earlier attempt may have done so, that it is gone is success.
func (c *client) remove(folder []byte, name string) syscall.Errno {
	r := &request{}
	r.putFH(folder)
	r.op(opRemove)
	r.text(name)
	answer, err := c.call(r)
	if err != 0 {
		return err
	}
	err = answer.steps(opPutFH, opRemove)
	if err == syscall.ENOENT && answer.again {
		return 0
	}
	return err
}

// rename replaces whatever has the new name. When an earlier attempt may have done so, the old
// name is gone: then it was a success if the new one leads to handle.
func (c *client) rename(handle, from []byte, old string, to []byte, name string) syscall.Errno {
	r := &request{}
	r.putFH(from)
	r.op(opSaveFH)
	r.putFH(to)
	r.op(opRename)
	r.text(old)
	r.text(name)
	answer, err := c.call(r)
	if err != 0 {
		return err
	}
	err = answer.steps(opPutFH, opSaveFH, opPutFH, opRename)
	if err == syscall.ENOENT && answer.again {
		if found, _, missing := c.lookup(to, name); missing == 0 && string(found) == string(handle) {
			return 0
		}
	}
	return err
}

func (c *client) link(handle, folder []byte, name string) (attributes, syscall.Errno) {
	r := &request{}
	r.putFH(handle)
	r.op(opSaveFH)
	r.putFH(folder)
	r.op(opLink)
	r.text(name)
	r.putFH(handle)
	r.getAttr(fileAttributes)
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opSaveFH, opPutFH, opLink)
	}
	if err != 0 {
		return attributes{}, err
	}
	answer.fixed(4 + 16)
	err = answer.steps(opPutFH, opGetAttr)
	a := answer.attributes()
	return a, answer.end(err)
}

func (c *client) readLink(handle []byte) ([]byte, syscall.Errno) {
	r := &request{}
	r.putFH(handle)
	r.op(opReadLink)
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opReadLink)
	}
	if err != 0 {
		return nil, err
	}
	target := answer.opaque()
	return target, answer.end(0)
}

// entry of a folder.
type entry struct {
	name   string
	cookie uint64
	attributes
}

// readFolder returns entries after a cookie, zero at first, and whether they are the last.
func (c *client) readFolder(folder []byte, cookie uint64, verifier []byte) ([]entry, []byte, bool, syscall.Errno) {
	r := &request{}
	r.putFH(folder)
	r.op(opReadDir)
	r.u64(cookie)
	r.fixed(verifier)
	r.u32(64<<10, 256<<10)
	r.bitmap([]uint32{attrType, attrFileID})
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opReadDir)
	}
	if err != 0 {
		return nil, nil, false, err
	}
	verifier = answer.fixed(8)
	var entries []entry
	for answer.u32() == 1 {
		one := entry{cookie: answer.u64(), name: string(answer.opaque())}
		one.attributes = answer.attributes()
		entries = append(entries, one)
	}
	last := answer.u32() == 1
	return entries, verifier, last, answer.end(0)
}

// read returns up to size bytes, fewer only at the end of the file, and the buffer that they are
// in, if that can be used again.
func (c *client) read(handle []byte, offset uint64, size uint32) ([]byte, []byte, syscall.Errno) {
	var data, in []byte
	for {
		r := &request{}
		r.putFH(handle)
		r.op(opRead)
		r.anonymous()
		r.u64(offset + uint64(len(data)))
		r.u32(min(size-uint32(len(data)), c.ioSize.Load()))
		answer, err := c.call(r)
		if err == 0 {
			err = answer.steps(opPutFH, opRead)
		}
		if err != 0 {
			return nil, nil, err
		}
		last := answer.u32() == 1
		part := answer.opaque()
		if err = answer.end(0); err != 0 {
			return nil, nil, err
		}
		if data == nil {
			data, in = part, answer.record
		} else {
			data, in = append(data, part...), nil
		}
		if last || len(part) == 0 || len(data) >= int(size) {
			return data, in, 0
		}
	}
}

// write sends data, stable or until a commit, and returns the verifier of the server's life that
// has it; the verifier of stable data is nil.
func (c *client) write(handle []byte, offset uint64, data []byte, how uint32) ([]byte, syscall.Errno) {
	var verifier []byte
	for first := true; first || len(data) > 0; first = false {
		r := &request{}
		r.putFH(handle)
		r.write(offset, data[:min(len(data), int(c.ioSize.Load()))], how)
		answer, err := c.call(r)
		if err == 0 {
			err = answer.steps(opPutFH, opWrite)
		}
		if err != 0 {
			return nil, err
		}
		count, committed, life := answer.u32(), answer.u32(), answer.fixed(8)
		if err = answer.end(0); err != 0 || count == 0 || int(count) > len(r.tail) {
			return nil, syscall.EIO
		}
		if committed != fileSync {
			if verifier != nil && string(verifier) != string(life) {
				// The first part may be lost: no life has all of it.
				life = []byte("restarts")
			}
			verifier = life
		}
		offset += uint64(count)
		data = data[count:]
	}
	return verifier, 0
}

// commit makes what was written last, and returns the verifier of the server's life that did so.
func (c *client) commit(handle []byte) ([]byte, syscall.Errno) {
	r := &request{}
	r.putFH(handle)
	r.op(opCommit)
	r.u64(0)
	r.u32(0)
	answer, err := c.call(r)
	if err == 0 {
		err = answer.steps(opPutFH, opCommit)
	}
	if err != 0 {
		return nil, err
	}
	verifier := answer.fixed(8)
	return verifier, answer.end(0)
}
