package backend

import (
	"fmt"
	"runtime/debug"
)

// FaultError is a recovered panic. It is a fault of slowburn, which ends one query and
// not the process.
type FaultError struct{ cause any }

func (e FaultError) Error() string {
	return fmt.Sprintf("slowburn failed at what the backend answers, please report it: %s", Shown(fmt.Sprint(e.cause)))
}

// Rescue recovers a panic and returns it as an error, logs the stack, and counts it.
// Functions that read from a backend defer it.
func (c *Client) Rescue(err *error) {
	cause := recover()
	if cause == nil {
		return
	}
	*err = FaultError{cause}
	c.metrics.failed.WithLabelValues(c.Name).Inc()
	c.log.Error("Reading failed by a fault of slowburn, please report it", "backend", c.Name, "err", *err, "stack", string(debug.Stack()))
}

// Safely calls a function whose result is not needed. If the function panics, Safely
// returns.
func (c *Client) Safely(read func()) {
	var err error
	defer c.Rescue(&err)
	read()
}
