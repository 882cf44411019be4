// Package audit compares an hour of counts with the backend's own count of it, and
// reports differences that are not explained.
package audit
