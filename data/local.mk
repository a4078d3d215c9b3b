mrdir = $(pkgdatadir)/data/mr
dist_mr_DATA = %D%/mr/train.jsonl.gz %D%/mr/dev.jsonl %D%/mr/test.jsonl %D%/mr/labels.json
datareadmedir = $(pkgdatadir)/data
dist_datareadme_DATA = %D%/README.md
