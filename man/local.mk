# Manual pages.

dist_man_MANS += \
	man/mgr-ctl.1 \
	man/mgr-frame.7 \
	man/mgr-httpd.8 \
	man/mgr-hub.8 \
	man/mgr-worker.8 \
	man/mgr.7 \
	$(NULL)
