package journal

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

// version1 is a journal as version 1 of the schema left it.
const version1 = `PRAGMA page_size=4096; BEGIN IMMEDIATE; PRAGMA application_id=1886612330;
PRAGMA user_version=1;
CREATE TABLE item (
	n INTEGER PRIMARY KEY,
	id INTEGER NOT NULL,
	size INTEGER NOT NULL,
	mtime INTEGER,
	place INTEGER NOT NULL,
	state TEXT NOT NULL,
	doubt INTEGER NOT NULL,
	key_made INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	first INTEGER,
	last INTEGER NOT NULL,
	http_status INTEGER NOT NULL,
	method TEXT NOT NULL,
	path TEXT NOT NULL,
	rel TEXT NOT NULL,
	url TEXT NOT NULL,
	key TEXT NOT NULL,
	error TEXT NOT NULL,
	digest BLOB
);
CREATE TABLE run (
	n INTEGER PRIMARY KEY,
	started INTEGER NOT NULL,
	finished INTEGER,
	exit_status INTEGER,
	target TEXT NOT NULL,
	method TEXT NOT NULL,
	command TEXT NOT NULL,
	version TEXT NOT NULL
);
CREATE VIEW items AS SELECT n, state, printf('%016x', id) AS id FROM item;
INSERT INTO item VALUES (3,1,5,1772366400123456789,-9223372036854775801,'delivered',1,1,3,
1700000000123,1700000001456,201,'PUT','a','a','https://h/a','k','',x'000102');
INSERT INTO item VALUES (4,2,6,NULL,0,'deferred',1,0,1,
NULL,1700000001456,503,'PUT','b','b','https://h/b','','503',NULL);
INSERT INTO run VALUES (1,1700000000000,1700000002000,5,
'https://h/{name}','PUT','penstock send','1.0');
COMMIT;`

// version2 is the same of version 2.
var version2 = strings.NewReplacer("user_version=1", "user_version=2", "digest BLOB",
	"digest BLOB,\n\tolder INTEGER NOT NULL", "x'000102')", "x'000102',0)",
	"'503',NULL)", "'503',NULL,1)", "COMMIT;", `CREATE TABLE wait (
	origin TEXT PRIMARY KEY,
	asked INTEGER NOT NULL,
	until INTEGER NOT NULL
) WITHOUT ROWID; COMMIT;`).Replace(version1)

// version3 is the same of version 3.
var version3 = strings.NewReplacer("user_version=2", "user_version=3",
	"version TEXT NOT NULL\n)", "version TEXT NOT NULL,\n\tby_results INTEGER NOT NULL\n)",
	"'1.0');", "'1.0',0);").Replace(version2)

// version4 is the same of version 4.
var version4 = strings.NewReplacer("user_version=3", "user_version=4",
	"\tplace INTEGER", "\tmark INTEGER").Replace(version3)

// version5 is the same of version 5.
var version5 = strings.NewReplacer("user_version=4", "user_version=5",
	"older INTEGER NOT NULL\n)", "older INTEGER NOT NULL\n, captured TEXT)",
	",0);", ",0,NULL);", "'503',NULL,1)", "'503',NULL,1,NULL)", "'1.0',0);", "'1.0',0);").
	Replace(version4)

func makeVersion(t *testing.T, text string) string {
	t.Helper()
	path := newPath(t)
	db, err := sql.Open("sqlite", path)
	test.OK(t, err)
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
	test.OK(t, db.Close())
	return path
}

// rows1 are the items of version1. Of what was not delivered, the server may have another content.
var rows1 = []Item{
	{ID: 1, Method: "PUT", Path: "a", Rel: "a", URL: "https://h/a", Key: "k",
		Fingerprint: Fingerprint{5, time.Unix(0, 1772366400123456789), 1<<63 + 7},
		Digest:      []byte{0, 1, 2},
		State:       item.Delivered, KeyMade: true, Doubt: true, Attempts: 3,
		First: time.UnixMilli(1700000000123), Last: time.UnixMilli(1700000001456),
		HTTPStatus: 201},
	{ID: 2, Method: "PUT", Path: "b", Rel: "b", URL: "https://h/b",
		Fingerprint: Fingerprint{Size: 6},
		State:       item.Deferred, Doubt: true, Older: true, Attempts: 1,
		Last: time.UnixMilli(1700000001456), HTTPStatus: 503, Error: "503"},
}

// Reading a journal of an earlier version changes nothing in it; a run or Forget brings it to this
// version.
func TestEarlierVersions(t *testing.T) {
	for i, text := range []string{version1, version2, version3, version4, version5} {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) { testEarlierVersion(t, text) })
	}
}

func testEarlierVersion(t *testing.T, text string) {
	path := makeVersion(t, text)
	before, err := os.ReadFile(path)
	test.OK(t, err)
	equal(t, "read", all(t, path), rows1)
	if info := inspect(path); info.Err != nil || info.Runs != 1 ||
		info.Counts[item.Delivered] != 1 || info.Command != "penstock send" || info.ByResults {
		t.Errorf("%+v", info)
	}
	if r, err := OpenReader(path); err != nil {
		t.Error(err)
	} else {
		if waits, err := r.Waits(); len(waits) > 0 || err != nil {
			t.Error(waits, err)
		}
		want := Receipts{Last: rows1[0].Last}
		if got, err := r.Receipts(); got != want || err != nil {
			t.Error(got, err)
		}
		r.Close()
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("reading has changed it, %v", err)
	}
	j := mustOpen(t, path)
	equal(t, "claim", j.Claim(1, rows1[0].Fingerprint), Claim{State: item.Delivered, Same: true})
	equal(t, "counts", j.Earlier().Counts, Counts{item.Delivered: 1, item.Deferred: 1})
	mustPut(t, j, full(3))
	mustClose(t, j)
	equal(t, "migrated", all(t, path), append(rows1[:2:2], full(3)))
	if info := inspect(path); info.Err != nil || info.Runs != 2 {
		t.Errorf("%+v", info)
	}
	if j, err = Open(t.Context(), Options{Path: path, ByResults: true}); err != nil {
		t.Fatal(err)
	}
	j.Claim(1, Fingerprint{})
	mustClose(t, j)
	if info := inspect(path); info.Err != nil || info.Runs != 3 || !info.ByResults {
		t.Errorf("%+v", info)
	}

	path = makeVersion(t, text)
	if n, err := Forget(path, func(it Item) bool { return it.ID == 1 }); n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	equal(t, "left", all(t, path), rows1[1:])
}

// A migrated file has the schema of a new one, to the letter.
func TestMigratedSchema(t *testing.T) {
	for _, text := range []string{version1, version2, version3, version4, version5} {
		path := makeVersion(t, text)
		mustClose(t, mustOpen(t, path))
		fresh := newPath(t)
		mustClose(t, claimed(t, fresh))
		equal(t, "schema", schemaOf(t, path), schemaOf(t, fresh))
	}
}

func claimed(t *testing.T, path string) *Journal {
	j := mustOpen(t, path)
	j.Claim(1, Fingerprint{})
	return j
}

func schemaOf(t *testing.T, path string) map[string]string {
	r := mustRead(t, path)
	defer r.Close()
	texts := make(map[string]string)
	err := each(t.Context(), r.conn, func(scan scanFunc) error {
		var name, text string
		err := scan(&name, &text)
		texts[name] = text
		return err
	}, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
	test.OK(t, err)
	return texts
}

// A migration that fails leaves the file as it was.
func TestMigrationFails(t *testing.T) {
	path := makeVersion(t, version1)
	db, err := sql.Open("sqlite", path)
	test.OK(t, err)
	if _, err := db.Exec("CREATE TABLE wait (x)"); err != nil {
		t.Fatal(err)
	}
	test.OK(t, db.Close())
	if j, err := Open(t.Context(), Options{Path: path}); err == nil {
		j.Close(0)
		t.Error("opened")
	}
	equal(t, "rows", all(t, path), rows1)
}
