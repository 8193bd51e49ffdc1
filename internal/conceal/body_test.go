package conceal

import "testing"

func TestField(t *testing.T) {
	for in, want := range map[string]string{
		"file":                         "file",
		"title=x":                      "title=x",
		"api_key=s3cret":               "api_key=***",
		"token={token}":                "token={token}",
		"token=x{token}":               "token=***",
		"key=@{path}":                  "key=@{path}",
		"key=<k.txt":                   "key=<k.txt",
		"back=https://h/?sig=s3cret&x": "back=https://h/?sig=***&***",
	} {
		if got := Field(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestBody(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"b","token" : "s3\"cret","n":1}`: `{"a":"b","token" : "***","n":1}`,
		`{"auth":{"password":"s3cret"}}`:       `{"auth":{"password":"***"}}`,
		`{"token":"{token}","pass":""}`:        `{"token":"{token}","pass":""}`,
		"a=b&password=s3cret&c=d":              "a=b&password=***&c=d",
		"@body.json":                           "@body.json",
		"text":                                 "text",
	} {
		if got := Body(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
