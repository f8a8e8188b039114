// Package rss measures how much memory of the process is resident, on Linux only: elsewhere
// the peak of it cannot be set back.
package rss
