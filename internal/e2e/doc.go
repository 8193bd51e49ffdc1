// Package e2e has only tests: the built command `penstock send` against nginx, Apache and practice
// servers, judged by what these servers say. With -large it sends enough to judge the pace, too.
package e2e
