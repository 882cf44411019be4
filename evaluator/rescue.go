package evaluator

import (
	"fmt"
	"runtime/debug"
)

// failed is a panic that was recovered: a fault of slowburn, which ends one reading and
// not the process.
type failed struct{ cause any }

func (e failed) Error() string {
	return fmt.Sprintf("slowburn failed at what the backend answers, please report it: %s", shown(fmt.Sprint(e.cause)))
}

// rescue is deferred by what reads of a backend. Of a panic it makes an error, with the
// stack in the log, and counts it.
func (b *client) rescue(err *error) {
	cause := recover()
	if cause == nil {
		return
	}
	*err = failed{cause}
	b.metrics.failed.WithLabelValues(b.Name).Inc()
	b.log.Error("Reading failed by a fault of slowburn, please report it", "backend", b.Name, "err", *err, "stack", string(debug.Stack()))
}

// safely calls what reads of a backend beside the numbers. A panic in it is its end.
func (b *client) safely(read func()) {
	var err error
	defer b.rescue(&err)
	read()
}
