dist_check_SCRIPTS += %D%/adapter.sh %D%/compare.sh %D%/control.sh %D%/disk.sh %D%/errors.sh %D%/export.sh \
	%D%/fusion.sh %D%/help.sh %D%/kill.sh %D%/mixed.sh %D%/predict.sh %D%/prompts.sh %D%/recipes.sh %D%/run.sh %D%/runlog.sh
EXTRA_DIST += %D%/tap.sh
