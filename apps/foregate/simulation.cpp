#include "simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "base/bytes.h"
#include "base/error.h"
#include "base/number_text.h"
#include "offload/replay/text_source.h"
#include "trace/split/split.h"

namespace foregate {
namespace {

constexpr const char* kDefaultBudgets = "5%,10%,20%,30%,50%,70%";
constexpr const char* kTimedPolicies = "lru,lru-token,lrfu-8,lrfu-32-layer";
constexpr int64_t kTimelineSteps = 32;

/// Which texts are replayed; empty: all.
std::vector<bool> choose_texts(const SimulateArguments& arguments,
                               const trace::TraceDirectory& traces, bool trained) {
  const auto all = static_cast<size_t>(traces.manifest().num_traces());
  std::vector<bool> chosen;
  if (arguments.split == "test" || (arguments.split.empty() && trained)) {
    for (const trace::Split split : trace::split_traces(traces))
      chosen.push_back(split == trace::Split::kTest);
  }
  if (!arguments.texts) return chosen;
  if (chosen.empty()) chosen.assign(all, true);
  int64_t left = *arguments.texts;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i] && left-- <= 0) chosen[i] = false;
  }
  return chosen;
}

std::vector<std::string> budget_texts(const SimulateArguments& arguments,
                                      const offload::ModelCost& model) {
  if (!arguments.fit.empty()) {
    if (!arguments.budgets.empty()) throw UsageError("--fit finds the budget; leave out --budget");
    const auto memory = static_cast<double>(parse_bytes(arguments.fit, "--fit"));
    if (model.expert_bytes == 0)
      throw UsageError("--fit needs sizes; give --model, or --expert-size and --dense-size");
    if (memory <= model.dense_bytes + model.expert_bytes) {
      throw UsageError(fmt::format(
          "--fit {}: the weights that are not experts take {} alone; give more, or fewer --bits",
          arguments.fit, human_bytes(static_cast<uint64_t>(model.dense_bytes))));
    }
    return {
        fmt::format("{}", static_cast<int64_t>((memory - model.dense_bytes) / model.expert_bytes))};
  }
  if (!arguments.budgets.empty()) return arguments.budgets;
  if (arguments.target.empty()) return {kDefaultBudgets};
  std::vector<std::string> steps;
  for (int percent = 5; percent <= 100; percent += 5) steps.push_back(fmt::format("{}%", percent));
  return steps;
}

}  // namespace

double TimedRow::tokens_per_second() const {
  if (!outcome.impossible.empty()) return std::numeric_limits<double>::quiet_NaN();
  return 1 / outcome.result.token_seconds.mean();
}

double TimedRow::mean_stall_seconds() const {
  if (!outcome.impossible.empty()) return std::numeric_limits<double>::quiet_NaN();
  return outcome.result.token_seconds.mean() - outcome.result.mean_resident();
}

Simulation::Simulation(const SimulateArguments& arguments, const RunContext& run)
    : arguments_(arguments),
      run_(run),
      traces_(arguments.traces),
      model_(parse_model_cost(arguments, traces_.geometry())),
      schedule_(parse_schedule(arguments)),
      foresights_(parse_foresights(arguments, traces_.geometry())),
      budgets_(
          parse_budgets(budget_texts(arguments, model_), traces_.geometry(), model_.expert_bytes)),
      chosen_(choose_texts(arguments, traces_, !foresights_.trained.empty())) {
  threads_ = static_cast<int>(
      arguments.threads.value_or(std::max(1u, std::thread::hardware_concurrency())));
  if (chosen_.empty()) tokens_ = traces_.manifest().num_tokens();
  if (traces_.manifest().num_tokens() == 0) {
    throw DataError(
        fmt::format("{}: holds no tokens; there is nothing to replay", arguments.traces.string()));
  }
}

std::unique_ptr<offload::TextSource> Simulation::open_texts() const {
  return std::make_unique<offload::TraceTexts>(traces_, chosen_);
}

offload::SweepResult Simulation::hits() const {
  offload::SweepOptions options;
  options.policies = arguments_.policies.empty() ? offload::default_policies()
                                                 : parse_policies(arguments_.policies);
  for (const Budget& budget : budgets_) options.slots.push_back(budget.slots);
  options.schedule = schedule_;
  options.curves = arguments_.json;
  options.threads = threads_;
  options.expected_tokens = tokens_;
  const auto texts = open_texts();
  offload::SweepResult result = offload::sweep(traces_.geometry(), *texts, options, run_);
  const bool any = std::any_of(result.cells.begin(), result.cells.end(),
                               [](const auto& cell) { return cell.impossible.empty(); });
  if (!any) throw UsageError(result.cells.front().impossible);
  return result;
}

std::vector<TimedRow> Simulation::times(const offload::HardwareProfile& hardware,
                                        const offload::TimelineSpan& last) const {
  if (model_.expert_bytes == 0)
    throw UsageError("--hardware needs the size of an expert; give --model or --expert-size");
  std::vector<TimedRow> rows = make_rows(hardware);
  if (last) {
    rows.back().cell.timeline = last;
    rows.back().cell.timeline_steps = kTimelineSteps;
  }
  std::vector<offload::TimedCell> cells;
  for (const TimedRow& row : rows) cells.push_back(row.cell);
  std::vector<offload::TimedOutcome> outcomes = offload::timed_sweep(
      traces_.geometry(), [this] { return open_texts(); }, cells, {schedule_, threads_, tokens_},
      run_);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].outcome = std::move(outcomes[i]);
  if (std::all_of(rows.begin(), rows.end(),
                  [](const TimedRow& row) { return !row.outcome.impossible.empty(); }))
    throw UsageError(rows.front().outcome.impossible);
  return rows;
}

std::vector<TimedRow> Simulation::make_rows(const offload::HardwareProfile& hardware) const {
  const std::vector<offload::Policy> policies = parse_policies(
      arguments_.policies.empty() ? std::vector<std::string>{kTimedPolicies} : arguments_.policies);
  std::vector<TimedRow> rows;
  for (const Budget& budget : budgets_) {
    for (const offload::Policy& policy : policies) {
      if (policy.needs_future() || policy.kind == offload::Policy::Kind::kStatic) {
        throw UsageError(fmt::format(
            "--policy {} is a bound on hits and has no time; leave out --hardware, or the policy",
            offload::policy_name(policy)));
      }
      rows.push_back(make_row(hardware, budget, policy, nullptr));
      for (const ForesightChoice& choice : foresights_.choices)
        rows.push_back(make_row(hardware, budget, policy, &choice));
    }
  }
  return rows;
}

TimedRow Simulation::make_row(const offload::HardwareProfile& hardware, const Budget& budget,
                              const offload::Policy& policy, const ForesightChoice* choice) const {
  TimedRow row;
  row.budget = budget.text;
  offload::TimedOptions& options = row.cell.options;
  options.policy = policy;
  options.slots = budget.slots;
  options.hardware = hardware;
  options.model = model_;
  options.cpu_experts = arguments_.cpu_experts;
  options.cold = schedule_.cold;
  if (!arguments_.host_memory.empty()) {
    options.host_slots = static_cast<int64_t>(
        static_cast<double>(parse_bytes(arguments_.host_memory, "--host-memory")) /
        model_.expert_bytes);
    options.host_slots = std::max<int64_t>(options.host_slots, 1);
  }
  if (choice == nullptr) return row;
  row.predictor = choice->name;
  row.cell.foresight = choice->make;
  offload::PrefetchRule rule;
  rule.kind = arguments_.threshold ? offload::PrefetchRule::Kind::kThreshold
                                   : offload::PrefetchRule::Kind::kValue;
  rule.threshold = arguments_.threshold.value_or(0);
  rule.depth = static_cast<int>(arguments_.depth);
  rule.pieces = static_cast<int>(arguments_.pieces);
  rule.predictor_seconds = arguments_.predictor_microseconds.value_or(0) * 1e-6;
  options.prefetch = rule;
  return row;
}

}  // namespace foregate
