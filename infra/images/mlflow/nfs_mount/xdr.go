package main

import "encoding/binary"

// encoder appends values as RFC 4506 (XDR) writes them.
type encoder struct{ bytes []byte }

func (e *encoder) u32(values ...uint32) {
	for _, value := range values {
		e.bytes = binary.BigEndian.AppendUint32(e.bytes, value)
	}
}

func (e *encoder) u64(value uint64) { e.bytes = binary.BigEndian.AppendUint64(e.bytes, value) }

func (e *encoder) fixed(value []byte) {
	e.bytes = append(e.bytes, value...)
	e.bytes = append(e.bytes, zeros[:padding(len(value))]...)
}

func (e *encoder) opaque(value []byte) {
	e.u32(uint32(len(value)))
	e.fixed(value)
}

func (e *encoder) text(value string) { e.opaque([]byte(value)) }

// decoder reads XDR values; after the end of the data, or an impossible length, bad is set and
// every value is zero.
type decoder struct {
	bytes []byte
	bad   bool
}

func (d *decoder) fixed(length int) []byte {
	whole := length + padding(length)
	if d.bad || length < 0 || whole > len(d.bytes) {
		d.bad = true
		return nil
	}
	value := d.bytes[:length:length]
	d.bytes = d.bytes[whole:]
	return value
}

func (d *decoder) u32() uint32 {
	if value := d.fixed(4); value != nil {
		return binary.BigEndian.Uint32(value)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if value := d.fixed(8); value != nil {
		return binary.BigEndian.Uint64(value)
	}
	return 0
}

func (d *decoder) opaque() []byte { return d.fixed(int(d.u32())) }

// bitmap returns the words of a bitmap4.
func (d *decoder) bitmap() []uint32 {
	var words []uint32
	for count := d.u32(); count > 0 && !d.bad; count-- {
		words = append(words, d.u32())
	}
	return words
}

var zeros [4]byte

func padding(length int) int { return -length & 3 }
