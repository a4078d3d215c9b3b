minibertdir = $(pkgdatadir)/models/mini-bert-en
dist_minibert_DATA = %D%/mini-bert-en/README.md %D%/mini-bert-en/LICENSE %D%/mini-bert-en/config.json \
	%D%/mini-bert-en/model.safetensors %D%/mini-bert-en/special_tokens_map.json \
	%D%/mini-bert-en/tokenizer.json %D%/mini-bert-en/tokenizer_config.json %D%/mini-bert-en/vocab.txt
