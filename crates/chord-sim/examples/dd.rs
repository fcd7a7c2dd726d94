use chord_sim::data::*;
use std::collections::BTreeMap;
fn main() {
    let args: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (first, n) = (args[0], args[1]);
    if let Ok(d) = std::env::var("DEFECTS") {
        use chord_kv::replication::Defect::*;
        for defect in [
            TakesOverBlindly,
            AcknowledgesBeforeDurable,
            AcknowledgesAlone,
            SkipsRepair,
            ForgetsTombstones,
            DropsWhatItOffers,
            AnswersUnvouched,
            TrustsTheClock,
            LeavesAtOnce,
            StoresOlderCopies,
        ] {
            let mut rules: BTreeMap<String, u64> = BTreeMap::new();
            let mut firsts = None;
            for seed in first..first + n {
                if let Err(b) =
                    DataRun::with_settings(DataPlan::draw(seed), |s| s.defect = Some(defect)).finish()
                {
                    *rules.entry(format!("{:?}", b.rule)).or_default() += 1;
                    firsts.get_or_insert(seed);
                }
            }
            println!("{defect:?}: {rules:?} first {firsts:?} {d}");
        }
        return;
    }
    if args.len() > 2 {
        let mut plan = DataPlan::draw(first);
        if args.len() > 3 {
            plan = plan.with_only(&args[3..].iter().map(|n| *n as usize).collect());
        }
        println!("{:?}", plan);
        let mut run = DataRun::new(plan.clone());
        run.world.start_trace();
        let r = run.finish_here();
        for l in run.world.take_trace() {
            println!("{l}");
        }
        println!("{r:?}");
        if let Err(b) = r {
            let s = shrink_data(&plan, &b);
            println!("SHRUNK {:?}\n{}", s.plan.mishaps, s.broken.description);
        }
        return;
    }
    let mut rules: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut tot = DataPassed::default();
    for seed in first..first + n {
        match std::panic::catch_unwind(|| DataRun::new(DataPlan::draw(seed)).finish()) {
            Ok(Ok(p)) => {
                tot.n_steps += p.n_steps;
                tot.n_acknowledged += p.n_acknowledged;
                tot.n_uncertain += p.n_uncertain;
                tot.n_reads += p.n_reads;
                tot.n_mishaps += p.n_mishaps;
                tot.ready_after = tot.ready_after.max(p.ready_after);
            }
            Ok(Err(b)) => {
                let p = DataPlan::draw(seed);
                rules
                    .entry(format!("{:?} {} {:?} R{}", b.rule, p.class, p.keeping, p.replicas))
                    .or_default()
                    .push(seed)
            }
            Err(_) => rules.entry("PANIC".into()).or_default().push(seed),
        }
    }
    println!("{tot:?}");
    for (r, s) in rules {
        println!("{r}: {} {:?}", s.len(), &s[..s.len().min(8)]);
    }
}
