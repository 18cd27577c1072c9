package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/caddy-sso/caddy-sso/storage"
)

// The layout of a page, in the byte order of the machine. A page has a header, the
// elements, and then keys and values. An element has offsets to its key and value,
// relative to the element.
const (
	pageHeader    = 16 // id uint64, flags uint16, elements uint16, overflow pages uint32
	elementSize   = 16 // branch: offset, key size uint32, child uint64; leaf: flags, offset, key size, value size uint32
	branchFlag    = 0x01
	leafFlag      = 0x02
	freelistFlag  = 0x10
	bucketHeader  = 16 // root page uint64, sequence uint64; root page 0: one page follows
	bucketElement = 0x01

	// maxDepth is more than the depth of any real tree. It ends the walk of a damaged
	// page that refers to itself.
	maxDepth = 32

	// maxPage bounds the size of a page with its overflow pages. bbolt stores at least
	// two values in a page, and splits larger pages.
	maxPage = 8 * (storage.MaxValueSize + storage.MaxKeySize)
)

var order = binary.NativeEndian

// errDamaged is wrapped by every error about the content of the file.
var errDamaged = errors.New("the file is damaged")

func damagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// A tree reads the file in the state of one transaction. bbolt follows offsets in the
// file without checking them, so on a damaged page it reads memory that is not mapped,
// or recurses until the process dies. A tree checks every offset before it follows it,
// and returns copies.
type tree struct {
	file     io.ReaderAt
	pageSize int
	pages    uint64 // number of pages that are or were in use
	root     uint64 // the page with the names of the buckets
	freelist uint64 // the page with the list of unused pages, if it is needed; 0: none

	// visit is called with every page that is read, and its number of pages including
	// overflow.
	visit func(id, pages uint64) error

	// withSiblings makes find also read the pages next to those on its path.
	withSiblings bool
}

// tree returns the state that tx reads, without the changes by tx itself. It is valid
// until tx ends.
func (h *handle) tree(tx *bbolt.Tx) *tree {
	return &tree{
		file: h.file, pageSize: h.pageSize,
		pages: uint64(tx.Size()) / uint64(h.pageSize), //nolint:gosec // not negative
		root:  uint64(tx.Cursor().Bucket().Root()),
	}
}

// A page has elements that have been checked.
type page struct {
	data []byte
	leaf bool
	len  int
	end  uint64 // end of the data that the elements refer to
}

func (p page) element(i int) []byte { return p.data[pageHeader+i*elementSize:][:elementSize] }

// span returns the offset of an element's key, and the sizes of its key and value.
func (p page) span(i int) (at, key, value uint64) {
	e := p.element(i)
	at = pageHeader + uint64(i)*elementSize //nolint:gosec // not negative
	if p.leaf {
		return at + uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
	}
	return at + uint64(order.Uint32(e)), uint64(order.Uint32(e[4:])), 0
}

func (p page) key(i int) []byte {
	at, key, _ := p.span(i)
	return p.data[at : at+key]
}

func (p page) value(i int) []byte {
	at, key, value := p.span(i)
	return p.data[at+key : at+key+value]
}

func (p page) child(i int) uint64 { return order.Uint64(p.element(i)[8:]) }

func (p page) isBucket(i int) bool { return order.Uint32(p.element(i))&bucketElement != 0 }

// first returns the first element whose key is not less than key.
func (p page) first(key []byte) int {
	return sort.Search(p.len, func(i int) bool { return bytes.Compare(p.key(i), key) >= 0 })
}

// branch returns the element of a branch page that leads to key.
func (p page) branch(key []byte) int {
	i := p.first(key)
	if i == p.len || i > 0 && !bytes.Equal(p.key(i), key) {
		i--
	}
	return i
}

// bounds are the bounds of the keys of a page: at least least, and less than below.
// nil: no bound.
type bounds struct{ least, below []byte }

// of returns the bounds of a child.
func (b bounds) of(p page, i int) bounds {
	b.least = p.key(i)
	if i+1 < p.len {
		b.below = p.key(i + 1)
	}
	return b
}

// checked returns the page in data, if its layout is valid and its keys are within b.
func checked(id uint64, data []byte, b bounds) (page, error) {
	flags := order.Uint16(data[8:])
	p := page{data: data, leaf: flags == leafFlag, len: int(order.Uint16(data[10:]))}
	if flags != leafFlag && flags != branchFlag {
		return page{}, damagef("page %d has an unknown type", id)
	}
	begin := uint64(pageHeader) + uint64(p.len)*elementSize //nolint:gosec // not negative
	if begin > uint64(len(data)) || p.len == 0 && !p.leaf {
		return page{}, damagef("page %d has an impossible number of elements", id)
	}
	for i := range p.len {
		at, key, value := p.span(i)
		if key == 0 || at < begin || at+key+value > uint64(len(data)) {
			return page{}, damagef("page %d has an element that refers to data outside the page", id)
		}
		p.end = max(p.end, at+key+value)
		if i > 0 && bytes.Compare(p.key(i-1), p.key(i)) >= 0 {
			return page{}, damagef("the keys of page %d are not sorted", id)
		}
	}
	if p.len > 0 && (bytes.Compare(p.key(0), b.least) < 0 || b.below != nil && bytes.Compare(p.key(p.len-1), b.below) >= 0) {
		return page{}, damagef("page %d has keys that belong to another page", id)
	}
	return p, nil
}

// read reads a page into buf, which it may enlarge.
func (t *tree) read(id uint64, buf *[]byte, b bounds) (page, error) {
	data, err := t.raw(id, buf)
	if err != nil {
		return page{}, err
	}
	p, err := checked(id, data, b)
	// bbolt never has more overflow pages than it fills. If a page is freed, bbolt
	// trusts their number, and would reuse pages that belong to others.
	if filled := uint64(len(data) - t.pageSize); err == nil && filled > 0 && p.end < filled { //nolint:gosec // not negative
		return page{}, damagef("page %d is too long", id)
	}
	return p, err
}

func (t *tree) raw(id uint64, buf *[]byte) ([]byte, error) {
	if id < 2 || id >= t.pages { // 0 and 1 are the meta pages
		return nil, damagef("it has %d pages, but refers to page %d", t.pages, id)
	}
	data := slices.Grow((*buf)[:0], t.pageSize)[:t.pageSize]
	at := int64(id) * int64(t.pageSize) //nolint:gosec // bounded above
	if err := t.readAt(data, at); err != nil {
		return nil, err
	}
	if order.Uint64(data) != id {
		return nil, damagef("page %d is not where it should be", id)
	}
	overflow := uint64(order.Uint32(data[12:]))
	if overflow > 0 {
		if id+overflow >= t.pages || overflow*uint64(t.pageSize) > maxPage && order.Uint16(data[8:]) != freelistFlag { //nolint:gosec // not negative
			return nil, damagef("page %d is too long", id)
		}
		size := (1 + int(overflow)) * t.pageSize //nolint:gosec // bounded above
		data = slices.Grow(data, size-len(data))[:size]
		if err := t.readAt(data[t.pageSize:], at+int64(t.pageSize)); err != nil {
			return nil, err
		}
	}
	*buf = data
	if t.visit != nil {
		return data, t.visit(id, 1+overflow)
	}
	return data, nil
}

// readAt treats an unexpected end of the file, and a read error of the disk, as damage.
func (t *tree) readAt(data []byte, at int64) error {
	_, err := t.file.ReadAt(data, at)
	return unreadable("byte", at, err)
}

// unreadable turns a read error into damage, unless the file has been closed.
func unreadable(what string, at int64, err error) error {
	if err == nil || errors.Is(err, os.ErrClosed) {
		return err
	}
	return damagef("reading at %s %d: %v", what, at, err)
}

// buffers hold pages while they are searched. Without the pool a Get allocates 5 KB, not
// 0.9 KB (BenchmarkStore).
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// putBuffer returns a buffer to the pool, unless it is large.
func putBuffer(buf *[]byte) {
	if cap(*buf) <= 1<<16 {
		buffers.Put(buf)
	}
}

// get returns a copy of the value of key in a bucket, or nil if there is none.
func (t *tree) get(bucket, key []byte) ([]byte, error) {
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	p, i, err := t.find(t.root, bucket, buf)
	if err != nil || i < 0 {
		return nil, err
	}
	root, inline, err := bucketIn(p, i)
	if err != nil {
		return nil, err
	}
	if root == 0 {
		if i := inline.first(key); i < inline.len && bytes.Equal(inline.key(i), key) {
			return clone(inline.value(i)), nil
		}
		return nil, nil
	}
	if p, i, err = t.find(root, key, buf); err != nil || i < 0 {
		return nil, err
	}
	return clone(p.value(i)), nil
}

// find returns the leaf page for key and the element's index, which is negative if the
// key is not found.
func (t *tree) find(id uint64, key []byte, buf *[]byte) (page, int, error) {
	var b bounds
	for range maxDepth {
		p, err := t.read(id, buf, b)
		if err != nil {
			return page{}, -1, err
		}
		if p.leaf {
			i := p.first(key)
			if i == p.len || !bytes.Equal(p.key(i), key) {
				i = -1
			}
			return p, i, nil
		}
		i := p.branch(key)
		if t.withSiblings {
			if err := t.readSiblings(p, i, b); err != nil {
				return page{}, -1, err
			}
		}
		b = b.of(p, i)
		id = p.child(i)
		b = bounds{slices.Clone(b.least), slices.Clone(b.below)} // buf is reused for the next page
	}
	return page{}, -1, damagef("it has pages in a circle")
}

// readSiblings reads the pages next to a child of a page.
func (t *tree) readSiblings(p page, i int, b bounds) error {
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	for _, n := range []int{i - 1, i + 1} {
		if n < 0 || n >= p.len {
			continue
		}
		if _, err := t.read(p.child(n), buf, b.of(p, n)); err != nil {
			return err
		}
	}
	return nil
}

// bucketIn returns the root page of the bucket in an element. If the bucket is inline,
// the root is 0, and bucketIn returns the inline page.
func bucketIn(p page, i int) (root uint64, inline page, err error) {
	value := p.value(i)
	if !p.isBucket(i) || len(value) < bucketHeader {
		return 0, page{}, damagef("the bucket %q is none", p.key(i))
	}
	if root = order.Uint64(value); root != 0 {
		return root, page{}, nil
	}
	if len(value) < bucketHeader+pageHeader {
		return 0, page{}, damagef("the bucket %q is too short", p.key(i))
	}
	inline, err = checked(0, value[bucketHeader:], bounds{})
	if err == nil && !inline.leaf {
		err = damagef("the bucket %q has branches in itself", p.key(i))
	}
	return 0, inline, err
}

// errEnough ends an iteration.
var errEnough = errors.New("enough")

// each calls fn for all keys in a bucket in order, beginning with from, until fn
// returns an error. Key and value are valid until fn returns.
func (t *tree) each(bucket, from []byte, fn func(key, value []byte) error) error {
	p, i, err := t.find(t.root, bucket, new([]byte))
	if err != nil || i < 0 {
		return err
	}
	return t.eachIn(p, i, from, fn)
}

// eachIn is like each, for the bucket in an element.
func (t *tree) eachIn(p page, i int, from []byte, fn func(key, value []byte) error) error {
	root, inline, err := bucketIn(p, i)
	if err != nil {
		return err
	}
	if root == 0 {
		return inline.each(from, fn)
	}
	return t.walk(root, 0, bounds{}, from, new([maxDepth][]byte), fn)
}

func (p page) each(from []byte, fn func(key, value []byte) error) error {
	for i := p.first(from); i < p.len; i++ {
		if err := fn(p.key(i), p.value(i)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) walk(id uint64, depth int, b bounds, from []byte, bufs *[maxDepth][]byte, fn func(key, value []byte) error) error {
	if depth == maxDepth {
		return damagef("it has pages in a circle")
	}
	p, err := t.read(id, &bufs[depth], b)
	if err != nil {
		return err
	}
	if p.leaf {
		return p.each(from, fn)
	}
	for i := p.branch(from); i < p.len; i++ {
		if err := t.walk(p.child(i), depth+1, b.of(p, i), from, bufs, fn); err != nil {
			return err
		}
	}
	return nil
}
