//go:build tools

// Package coredns pins the cluster's DNS server, which ../install builds.
package coredns

import _ "github.com/coredns/coredns"
