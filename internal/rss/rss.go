// Package rss measures how much memory of the process is resident, on Linux only: elsewhere its
// peak cannot be reset.
package rss
