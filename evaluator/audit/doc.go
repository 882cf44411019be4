// Package audit holds an hour of what was counted against the backend's own count of
// it, and says where the two differ more than is explained.
package audit
