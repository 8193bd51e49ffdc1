// Package lint has only tests, of the tree as a whole: who imports whom, that README says nothing that is not tested, that every
// exported name is explained, and that no file speaks of the machine it was written on.
package lint
