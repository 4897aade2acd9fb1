# regbench: {similarity x regularizer} with an equal tuning budget in every cell, from images to the paper's table.
#   snakemake --cores 2 --configfile configs/quick.yaml


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/look.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/cell.smk"
include: "workflow/rules/curve.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        targets(),


onstart:
    start(log)


onerror:
    HEAD.failed()


onsuccess:
    HEAD.succeeded()
