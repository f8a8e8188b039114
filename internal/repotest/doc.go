// Package repotest tests the repository as a whole: which package may import which, what the
// compiler makes of the fast paths, and whether the documents are true.
package repotest
