package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"time"
	"unsafe"
)

// Codec writes values as bytes, and reads them again in a program with the same types. It
// writes all fields, also those that are not exported, and objects that several pointers
// share once. Values without pointers are copied as they are in memory.
type Codec struct {
	concrete []reflect.Type
	skipped  map[reflect.Type]bool
	types    [sha256.Size]byte
}

// NewCodec returns a codec for values of the type of root. concrete are values of the
// types that its interfaces contain, skipped are values of types that are not written and
// stay zero.
func NewCodec(root any, concrete, skipped []any) *Codec {
	c := &Codec{skipped: map[reflect.Type]bool{}}
	for _, v := range skipped {
		c.skipped[reflect.TypeOf(v)] = true
	}
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, runtime.GOARCH) // never fails
	seen := map[reflect.Type]bool{}
	for _, v := range append([]any{root}, concrete...) {
		c.concrete = append(c.concrete, reflect.TypeOf(v))
		c.describe(reflect.TypeOf(v), seen, func(text string) { _, _ = hash.Write([]byte(text)) })
	}
	hash.Sum(c.types[:0])
	return c
}

// Types returns a checksum of all types that the codec writes. Bytes can be read by a
// codec with the same one.
func (c *Codec) Types() []byte { return c.types[:] }

// describe writes the structure of a type.
func (c *Codec) describe(t reflect.Type, seen map[reflect.Type]bool, write func(string)) {
	write(fmt.Sprintln(t, t.Kind(), t.Size()))
	if seen[t] || c.skipped[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			write(fmt.Sprintln(f.Name, f.Offset))
			c.describe(f.Type, seen, write)
		}
	case reflect.Map:
		c.describe(t.Key(), seen, write)
		c.describe(t.Elem(), seen, write)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		c.describe(t.Elem(), seen, write)
	}
}

// Encode returns the bytes of the value that a pointer points to. It returns an error for a value
// that no process can read again, such as a function.
func (c *Codec) Encode(v any) ([]byte, error) {
	e := encoder{Codec: c, objects: map[object]uint64{}}
	err := e.encode(reflect.ValueOf(v).Elem())
	return e.out, err
}

// Decode reads the bytes of Encode into what a pointer points to.
func (c *Codec) Decode(data []byte, v any) error {
	d := decoder{Codec: c, in: data}
	if err := d.decode(reflect.ValueOf(v).Elem()); err != nil {
		return err
	}
	if len(d.in) > 0 {
		return errMalformed
	}
	return nil
}

var timeType = reflect.TypeFor[time.Time]() // it points to a zone

var errMalformed = errors.New("it is malformed")

type encoder struct {
	*Codec
	out     []byte
	objects map[object]uint64 // numbers of those that were written, from 1
}

// object identifies the value of a pointer. A value and its first field have the same address.
type object struct {
	at unsafe.Pointer
	t  reflect.Type
}

func (e *encoder) number(n uint64) { e.out = binary.AppendUvarint(e.out, n) }

// memory returns the bytes of n values of a type.
func memory(at unsafe.Pointer, t reflect.Type, n int) []byte {
	return unsafe.Slice((*byte)(at), n*int(t.Size())) //nolint:gosec // the caller has n values of the type there
}

// settable returns a value whose fields can be set, also if they are not exported.
func settable(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
}

// encode writes a value that has an address.
func (e *encoder) encode(v reflect.Value) error {
	v = settable(v)
	t := v.Type()
	switch {
	case e.skipped[t]:
		return nil
	case t == timeType:
		text, err := v.Interface().(time.Time).MarshalBinary()
		e.number(uint64(len(text)))
		e.out = append(e.out, text...)
		return err
	case plain(t):
		e.out = append(e.out, memory(v.Addr().UnsafePointer(), t, 1)...)
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		e.number(uint64(v.Len()))
		e.out = append(e.out, v.String()...)
	case reflect.Struct:
		for i := range t.NumField() {
			if err := e.encode(v.Field(i)); err != nil {
				return fmt.Errorf("%s.%s: %w", t, t.Field(i).Name, err)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			if err := e.encode(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Slice:
		return e.encodeSlice(v)
	case reflect.Map:
		return e.encodeMap(v)
	case reflect.Pointer:
		if v.IsNil() {
			e.number(0)
			return nil
		}
		o := object{v.UnsafePointer(), t}
		id, known := e.objects[o]
		if known {
			e.number(id)
			return nil
		}
		id = uint64(len(e.objects) + 1)
		e.objects[o] = id
		e.number(id)
		return e.encode(v.Elem())
	case reflect.Interface:
		return e.encodeInterface(v)
	default:
		if !v.IsZero() {
			return fmt.Errorf("a %s can't be written", t)
		}
	}
	return nil
}

// encodeSlice writes a slice. Its length is one higher, and 0 for nil.
func (e *encoder) encodeSlice(v reflect.Value) error {
	if v.IsNil() {
		e.number(0)
		return nil
	}
	e.number(uint64(v.Len()) + 1)
	if t := v.Type().Elem(); plain(t) {
		e.out = append(e.out, memory(v.UnsafePointer(), t, v.Len())...)
		return nil
	}
	for i := range v.Len() {
		if err := e.encode(v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) encodeMap(v reflect.Value) error {
	if v.IsNil() {
		e.number(0)
		return nil
	}
	e.number(uint64(v.Len()) + 1)
	key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for it := v.MapRange(); it.Next(); {
		key.Set(it.Key())
		value.Set(it.Value())
		if err := errors.Join(e.encode(key), e.encode(value)); err != nil {
			return err
		}
	}
	return nil
}

// encodeInterface writes the number of the type that an interface contains, and its
// value.
func (e *encoder) encodeInterface(v reflect.Value) error {
	if v.IsNil() {
		e.number(0)
		return nil
	}
	for i, t := range e.concrete {
		if v.Elem().Type() == t {
			e.number(uint64(i) + 1)
			value := reflect.New(t).Elem()
			value.Set(v.Elem())
			return e.encode(value)
		}
	}
	return fmt.Errorf("a %s can't be written", v.Elem().Type())
}

// plain reports whether values of a type contain no pointers.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	case reflect.Array:
		return plain(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if !plain(f.Type) {
				return false
			}
		}
		return true
	}
	return false
}

type decoder struct {
	*Codec
	in      []byte
	objects []reflect.Value // pointers to objects that were read
}

func (d *decoder) number() (uint64, error) {
	n, size := binary.Uvarint(d.in)
	if size <= 0 {
		return 0, errMalformed
	}
	d.in = d.in[size:]
	return n, nil
}

func (d *decoder) text() (string, error) {
	n, err := d.number()
	if err != nil || n > uint64(len(d.in)) {
		return "", errMalformed
	}
	text := string(d.in[:n])
	d.in = d.in[n:]
	return text, nil
}

// length reads a number of values. Each takes at least a number of bytes.
func (d *decoder) length(bytes uint64) (n int, isNil bool, err error) {
	count, err := d.number()
	if err != nil || count == 0 {
		return 0, true, err
	}
	if count--; count > math.MaxInt32 || count*max(bytes, 1) > uint64(len(d.in)) && bytes > 0 {
		return 0, false, errMalformed
	}
	return int(count), false, nil
}

// copy copies the next bytes into memory.
func (d *decoder) copy(to []byte) error {
	if len(d.in) < len(to) {
		return errMalformed
	}
	d.in = d.in[copy(to, d.in):]
	return nil
}

// decode reads a value that has an address.
func (d *decoder) decode(v reflect.Value) error {
	v = settable(v)
	t := v.Type()
	switch {
	case d.skipped[t]:
		return nil
	case t == timeType:
		text, err := d.text()
		if err != nil {
			return err
		}
		return v.Addr().Interface().(*time.Time).UnmarshalBinary([]byte(text))
	case plain(t):
		return d.copy(memory(v.Addr().UnsafePointer(), t, 1))
	}
	switch t.Kind() {
	case reflect.String:
		text, err := d.text()
		v.SetString(text)
		return err
	case reflect.Struct:
		for i := range t.NumField() {
			if err := d.decode(v.Field(i)); err != nil {
				return err
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			if err := d.decode(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Slice:
		return d.decodeSlice(v)
	case reflect.Map:
		return d.decodeMap(v)
	case reflect.Pointer:
		return d.decodePointer(v)
	case reflect.Interface:
		n, err := d.number()
		if err != nil || n > uint64(len(d.concrete)) {
			return errMalformed
		}
		if n > 0 {
			value := reflect.New(d.concrete[n-1]).Elem()
			if err := d.decode(value); err != nil {
				return err
			}
			if !value.Type().AssignableTo(t) {
				return errMalformed
			}
			v.Set(value)
		}
	}
	return nil
}

func (d *decoder) decodePointer(v reflect.Value) error {
	id, err := d.number()
	switch {
	case err != nil || id > uint64(len(d.objects))+1:
		return errMalformed
	case id == 0:
		return nil
	case id <= uint64(len(d.objects)):
		if known := d.objects[id-1]; known.Type() == v.Type() {
			v.Set(known)
			return nil
		}
		return errMalformed
	}
	object := reflect.New(v.Type().Elem())
	d.objects = append(d.objects, object)
	v.Set(object)
	return d.decode(object.Elem())
}

func (d *decoder) decodeSlice(v reflect.Value) error {
	t := v.Type().Elem()
	size := uint64(1)
	if plain(t) {
		size = uint64(t.Size())
	}
	n, isNil, err := d.length(size)
	if err != nil || isNil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	if plain(t) {
		return d.copy(memory(v.UnsafePointer(), t, n))
	}
	for i := range n {
		if err := d.decode(v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) decodeMap(v reflect.Value) error {
	n, isNil, err := d.length(1)
	if err != nil || isNil {
		return err
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if err := errors.Join(d.decode(key), d.decode(value)); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return nil
}
