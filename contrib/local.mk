# Nothing is compiled here.
EXTRA_DIST += \
	contrib/build \
	contrib/packages \
	contrib/quickstart \
	$(NULL)
