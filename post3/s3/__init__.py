"""S3 over HTTP, framework-free."""
