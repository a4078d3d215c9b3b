dist_check_SCRIPTS += %D%/headers.sh %D%/layers.sh %D%/lists.sh %D%/man.sh %D%/wings.sh %D%/words.sh
