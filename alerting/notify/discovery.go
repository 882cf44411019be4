package notify

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// lookupEvery is the time between two look-ups of a name.
	lookupEvery = 30 * time.Second
	// lookupSoon is the same while no address is known.
	lookupSoon = 5 * time.Second
)

// dnsName is a URL with dns+ before it: each address of its host is a receiver.
type dnsName struct {
	text      string // as configured
	url       *url.URL
	http      *http.Client
	log       *slog.Logger
	metrics   *metrics
	receivers map[netip.Addr]*receiver // of the goroutine of Sender.Run
}

// addresses contains the addresses that a name has now.
type addresses struct {
	name *dnsName
	all  []netip.Addr
}

// newName returns the name of an Alertmanager, nil if it has a plain URL.
func newName(am Alertmanager, log *slog.Logger, m *metrics) *dnsName {
	text, ok := strings.CutPrefix(am.URL, "dns+")
	u, err := url.Parse(text)
	if !ok || err != nil {
		return nil
	}
	m.lookups.WithLabelValues(am.URL)
	return &dnsName{text: am.URL, url: u, http: am.HTTP, log: log, metrics: m, receivers: map[netip.Addr]*receiver{}}
}

// follow looks the name up until ctx ends, and sends each change. While the look-up fails
// the last addresses stay.
func (n *dnsName) follow(ctx context.Context, lookup Lookup, changed chan<- addresses) {
	var known []netip.Addr
	failing := false
	for pause := lookupEvery; ; pause = lookupEvery {
		addrs, err := n.lookup(ctx, lookup)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil:
			n.metrics.lookups.WithLabelValues(n.text).Inc()
			if !failing {
				n.log.Error("Alertmanager's name can't be looked up, what was known stays", "alertmanager", n.text, "err", err)
			}
		case failing:
			n.log.Info("Alertmanager's name can be looked up again", "alertmanager", n.text)
		}
		failing = err != nil
		if err == nil && !slices.Equal(addrs, known) {
			known = addrs
			select {
			case changed <- addresses{n, addrs}:
			case <-ctx.Done():
				return
			}
		}
		if known == nil {
			pause = lookupSoon
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

// lookup returns the name's addresses, sorted: those of IPv4, or of IPv6 if there are no
// others, because a server with both is one receiver.
func (n *dnsName) lookup(ctx context.Context, lookup Lookup) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	found, err := lookup(ctx, n.url.Hostname())
	if err != nil {
		return nil, err
	}
	var four, six []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	if len(four) == 0 {
		four = six
	}
	if len(four) == 0 {
		return nil, errors.New("the name has no address")
	}
	slices.SortFunc(four, netip.Addr.Compare)
	return slices.Compact(four), nil
}

// urlOf returns the URL at one address of the name.
func (n *dnsName) urlOf(a netip.Addr) string {
	u := *n.url
	switch port := u.Port(); {
	case port != "":
		u.Host = net.JoinHostPort(a.String(), port)
	case a.Is6():
		u.Host = "[" + a.String() + "]"
	default:
		u.Host = a.String()
	}
	return u.String()
}

// setAddresses brings a name's receivers up to date and returns the new ones.
func (s *Sender) setAddresses(found addresses) []*receiver {
	n := found.name
	for a, r := range n.receivers {
		if !slices.Contains(found.all, a) {
			delete(n.receivers, a)
			s.receivers = slices.DeleteFunc(s.receivers, func(other *receiver) bool { return other == r })
			r.dismissed = true
			close(r.queue)
		}
	}
	var begun []*receiver
	for _, a := range found.all {
		if n.receivers[a] == nil {
			n.receivers[a] = newReceiver(Alertmanager{n.urlOf(a), n.http}, n.url.Host, &s.SenderOptions, s.metrics)
			n.receivers[a].inherit(s.inherited)
			begun = append(begun, n.receivers[a])
		}
	}
	s.receivers = append(s.receivers, begun...)
	s.Log.Info("Alertmanager's name has other addresses", "alertmanager", n.text, "addresses", found.all)
	return begun
}
