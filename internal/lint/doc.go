// Package lint has only tests, of the tree as a whole: which package imports which, that README
// says and promises nothing that is not tested, that every exported name is explained, and that no
// package but status names flags, and that no file names the machine it was written on.
package lint
