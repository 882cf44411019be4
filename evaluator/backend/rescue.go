package backend

import (
	"fmt"
	"runtime/debug"
)

// FaultError is a panic that was recovered: a fault of slowburn, which ends one reading and
// not the process.
type FaultError struct{ cause any }

func (e FaultError) Error() string {
	return fmt.Sprintf("slowburn failed at what the backend answers, please report it: %s", Shown(fmt.Sprint(e.cause)))
}

// Rescue is deferred by what reads of a backend. Of a panic it makes an error, with the
// stack in the log, and counts it.
func (b *Client) Rescue(err *error) {
	cause := recover()
	if cause == nil {
		return
	}
	*err = FaultError{cause}
	b.metrics.failed.WithLabelValues(b.Name).Inc()
	b.log.Error("Reading failed by a fault of slowburn, please report it", "backend", b.Name, "err", *err, "stack", string(debug.Stack()))
}

// Safely calls what reads of a backend beside the numbers. A panic in it is its end.
func (b *Client) Safely(read func()) {
	var err error
	defer b.Rescue(&err)
	read()
}
