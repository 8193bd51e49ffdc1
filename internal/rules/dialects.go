package rules

import (
	"maps"
	"slices"
)

// A dialect is rules for what many servers say in the same way.
type dialect struct {
	effect Effect
	about  string
	rules  []string
}

// Each rule goes by what the vendor documents. Quotas of a day are left out: to wait for them is
// not to slow down.
var dialects = map[string]dialect{
	// Google's APIs answer 403 with a reason, older ones in errors, newer ones in details.
	"google": {Throttle, "a 403 of Google's APIs with a rate limit as its reason", []string{
		`403:any(.error.errors[]?; .reason|IN("rateLimitExceeded","userRateLimitExceeded",` +
			`"sharingRateLimitExceeded")) or ` +
			`any(.error.details[]?; .reason=="RATE_LIMIT_EXCEEDED")`,
	}},
	// GitHub answers 403 or 429 to both its limits; only the primary one has a header.
	"github": {Throttle, "a 403 of GitHub that is about its primary or a secondary limit", []string{
		`403:$header["x-ratelimit-remaining"]=="0" or $header["retry-after"]!=null or ` +
			`(.message|strings|test("secondary rate limit|abuse detection";"i"))`,
	}},
	// AWS answers 400 or 503 with a code: in JSON, in a header with something behind a colon, or in
	// XML. The codes are those that its SDKs take for throttling, but for quotas of what an account
	// may have.
	"aws": {Throttle, "AWS's codes for throttling, in JSON, XML or a header", []string{
		`400,403,503:[.__type?,.code?,.Code?,$header["x-amzn-errortype"]]|map(strings)|` +
			`any(.[]; test("(^|#)` + awsCodes + `(:|$)"))`,
		`400,403,503:$text[:4000]|test("<Code>` + awsCodes + `</Code>")`,
	}},
	"graphql": {Reject, "a 2xx of GraphQL with errors", []string{
		`2xx:.errors|(type=="array" and length>0)`,
	}},
	"jsonrpc": {Reject, "a 2xx of JSON-RPC with an error, also in a batch", []string{
		`2xx:if type=="array" then any(.[]; .error?!=null) else .error?!=null end`,
	}},
	"success": {Reject, `a 2xx with "success": false, or "ok": false`, []string{
		`2xx:.success==false or .ok==false`,
	}},
}

const awsCodes = `(Throttling|ThrottlingException|ThrottledException|RequestThrottled|` +
	`RequestThrottledException|TooManyRequestsException|ProvisionedThroughputExceededException|` +
	`TransactionInProgressException|RequestLimitExceeded|BandwidthLimitExceeded|SlowDown|` +
	`PriorRequestNotComplete|EC2ThrottledException)`

// Dialects returns the names of the sets of rules for an effect.
func Dialects(effect Effect) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(dialects)) {
		if dialects[name].effect == effect {
			names = append(names, name)
		}
	}
	return names
}
