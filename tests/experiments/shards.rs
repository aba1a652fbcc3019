//! Shards divide a sweep exactly, and job arrays say which is whose.

use std::collections::HashMap;

use lowshot::experiment::sweep::shard::Shard;

#[test]
fn shards_are_an_exact_partition_into_equal_parts() {
    for cells in 0..40 {
        for count in 1..50 {
            let parts: Vec<_> = (1..=count).map(|index| Shard::new(index, count).unwrap().part(cells)).collect();
            let all: Vec<usize> = parts.iter().cloned().flatten().collect();
            assert_eq!(all, (0..cells).collect::<Vec<_>>(), "{cells} cells, {count} shards");
            let (least, most) = (cells / count, cells.div_ceil(count));
            assert!(parts.iter().all(|part| (least..=most).contains(&part.len())), "{cells} cells, {count} shards");
        }
    }
    // No product of the two overflows.
    let last = Shard::new(usize::MAX, usize::MAX).unwrap();
    assert_eq!(last.part(usize::MAX), usize::MAX - 1..usize::MAX);
}

#[test]
fn a_shard_is_spelled_i_of_n_from_1() {
    let shard: Shard = "2/4".parse().unwrap();
    assert_eq!((shard, shard.to_string().as_str()), (Shard::new(2, 4).unwrap(), "2/4"));
    for wrong in ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2", "1.0/2"] {
        let message = wrong.parse::<Shard>().unwrap_err().to_string();
        assert!(message.contains(wrong) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn job_arrays_say_which_shard_is_whose() {
    let shard = |variables: &[(&str, &str)]| {
        let variables: HashMap<_, _> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Shard::from_environment(|name| variables.get(name).cloned())
    };
    assert_eq!(shard(&[]).unwrap(), None);
    assert_eq!(shard(&[("SLURM_JOB_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "4")]).unwrap(), None);
    let of = |index, count| Some(Shard::new(index, count).unwrap());
    let slurm = |id, count, first| {
        shard(&[("SLURM_ARRAY_TASK_ID", id), ("SLURM_ARRAY_TASK_COUNT", count), ("SLURM_ARRAY_TASK_MIN", first)])
    };
    assert_eq!(slurm("0", "4", "0").unwrap(), of(1, 4));
    assert_eq!(slurm("3", "4", "0").unwrap(), of(4, 4));
    assert_eq!(slurm("4", "4", "1").unwrap(), of(4, 4));
    assert_eq!(shard(&[("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "3")]).unwrap(), of(3, 3));
    assert_eq!(shard(&[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "2")]).unwrap(), of(1, 2));
    // Indexes with gaps (--array=1,3,7), and a number that nobody tells: guessing would leave cells out.
    for wrong in
        [slurm("7", "3", "1"), slurm("0", "3", "1"), slurm("x", "3", "0"), shard(&[("JOB_COMPLETION_INDEX", "1")])]
    {
        let message = wrong.unwrap_err().to_string();
        assert!(message.contains("--shard"), "{message}");
    }
}
