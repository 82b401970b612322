module mlflow-bench/language-host

go 1.25

// The last one whose module is served as a part of the SDK; it runs programs under newer engines.
require github.com/pulumi/pulumi/sdk/v3 v3.60.0
