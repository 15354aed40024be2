#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/bytes.h"
#include "base/error.h"
#include "base/number_text.h"
#include "commands.h"
#include "offload/replay/sweep.h"
#include "offload/replay/text_source.h"
#include "offload/time/timed_sweep.h"
#include "output.h"
#include "simulate_options.h"
#include "simulate_output.h"
#include "trace/reader.h"
#include "trace/split/split.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate simulate --traces traces\n"
    "  foregate simulate --traces traces --budget 10%,30% --policy lru,lru-token,lrfu-8,belady\n"
    "  foregate simulate --traces traces --hardware rtx4090 --expert-size 17.3MB --predictor next\n"
    "  foregate simulate --traces traces --hardware rtx4090 --model MODEL_DIR --bits 4 --fit 8GB\n"
    "  foregate simulate --traces traces --hardware rtx4090 --model MODEL_DIR --target 20tok/s\n"
    "Without --hardware it says what caches of each policy and size hit, with it also how long a "
    "token takes.\n"
    "tok/s: 1 / mean time of a token. p50, p95, p99: its milliseconds. late: was on its way. "
    "waste: "
    "of the bytes\n"
    "moved. link, GPU: busy. /bound: times what max(compute, transfers) of each token would take.";

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

class Simulation {
 public:
  Simulation(const SimulateArguments& arguments, const RunContext& run)
      : arguments_(arguments),
        run_(run),
        traces_(arguments.traces),
        model_(parse_model_cost(arguments, traces_.geometry())),
        schedule_(parse_schedule(arguments)),
        foresights_(parse_foresights(arguments, traces_.geometry())),
        budgets_(parse_budgets(budget_texts(arguments, model_), traces_.geometry(),
                               model_.expert_bytes)),
        chosen_(choose_texts(arguments, traces_, !foresights_.trained.empty())) {
    threads_ = static_cast<int>(
        arguments.threads.value_or(std::max(1u, std::thread::hardware_concurrency())));
    if (chosen_.empty()) tokens_ = traces_.manifest().num_tokens();
    if (traces_.manifest().num_tokens() == 0) {
      throw DataError(fmt::format("{}: holds no tokens; there is nothing to replay",
                                  arguments.traces.string()));
    }
  }

  void run() {
    if (arguments_.hardware.empty()) {
      hits();
    } else {
      times();
    }
  }

 private:
  std::unique_ptr<offload::TextSource> open_texts() const {
    return std::make_unique<offload::TraceTexts>(traces_, chosen_);
  }

  Json head() const {
    const trace::Geometry& geometry = traces_.geometry();
    return {{"model", traces_.manifest().model},     {"num_moe_layers", geometry.num_moe_layers},
            {"num_experts", geometry.num_experts},   {"top_k", geometry.top_k},
            {"sequences", schedule_.sequences},      {"cold", schedule_.cold},
            {"prompt_batch", schedule_.prompt_batch}};
  }

  std::string headline(int64_t texts, int64_t tokens) const {
    const trace::Geometry& geometry = traces_.geometry();
    return fmt::format("{}: {} of {}, {} x {} experts, top-{}, {}", traces_.manifest().model,
                       number_of(tokens, "token"), number_of(texts, "text"),
                       number_of(geometry.num_moe_layers, "layer"), geometry.num_experts,
                       geometry.top_k, schedule_.cold ? "cold cache" : "warm cache");
  }

  void hits() {
    offload::SweepOptions options;
    options.policies = arguments_.policies.empty() ? offload::default_policies()
                                                   : parse_policies(arguments_.policies);
    for (const Budget& budget : budgets_) options.slots.push_back(budget.slots);
    options.schedule = schedule_;
    options.curves = arguments_.json;
    options.threads = threads_;
    options.expected_tokens = tokens_;
    const auto texts = open_texts();
    const offload::SweepResult result = offload::sweep(traces_.geometry(), *texts, options, run_);
    require_a_result(result);
    if (arguments_.json) {
      Json json = head();
      json.update(sweep_json(result, budgets_));
      return print_json(json);
    }
    print_line(headline(result.texts, result.tokens));
    print_line(hit_tables(result, budgets_));
    for (const offload::SweepCell& cell : result.cells) {
      if (!cell.impossible.empty()) run_.log.info("-: {}", cell.impossible);
    }
    if (!arguments_.fit.empty()) say_best_hit(result);
  }

  void require_a_result(const offload::SweepResult& result) const {
    const bool any = std::any_of(result.cells.begin(), result.cells.end(),
                                 [](const auto& cell) { return cell.impossible.empty(); });
    if (!any) throw UsageError(result.cells.front().impossible);
  }

  void say_best_hit(const offload::SweepResult& result) const {
    const offload::SweepCell* best = nullptr;
    for (const offload::SweepCell& cell : result.cells) {
      if (!cell.impossible.empty() || cell.policy.needs_future()) continue;
      if (best == nullptr || cell.generated.rate() > best->generated.rate()) best = &cell;
    }
    if (best == nullptr) return;
    print_line(fmt::format("best in {}: {}, {:.1f}% of {}", arguments_.fit,
                           offload::policy_name(best->policy), 100 * best->generated.rate(),
                           number_of(best->slots, "slot")));
  }

  void times() {
    if (model_.expert_bytes == 0)
      throw UsageError("--hardware needs the size of an expert; give --model or --expert-size");
    const offload::HardwareProfile hardware = parse_hardware(arguments_, run_);
    if (!arguments_.save_hardware.empty())
      write_json_atomically(arguments_.save_hardware, offload::hardware_to_json(hardware));
    std::vector<TimedRow> rows = make_rows(hardware);
    TimelineFile timeline;
    if (!arguments_.timeline.empty()) {
      rows.back().cell.timeline = timeline.recorder();
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
    if (!arguments_.timeline.empty()) timeline.write(arguments_.timeline);
    print_times(hardware, rows);
  }

  std::vector<TimedRow> make_rows(const offload::HardwareProfile& hardware) const {
    const std::vector<offload::Policy> policies =
        parse_policies(arguments_.policies.empty() ? std::vector<std::string>{kTimedPolicies}
                                                   : arguments_.policies);
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

  TimedRow make_row(const offload::HardwareProfile& hardware, const Budget& budget,
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

  void print_times(const offload::HardwareProfile& hardware, const std::vector<TimedRow>& rows) {
    const TimedRow* found = best_row(rows);
    if (arguments_.json) {
      Json json = head();
      json["hardware"] = offload::hardware_to_json(hardware);
      json["expert_bytes"] = model_.expert_bytes;
      json["dense_bytes"] = model_.dense_bytes;
      json["runs"] = timed_json(rows);
      if (found != nullptr) json["best"] = found - rows.data();
      return print_json(json);
    }
    print_line(fmt::format("{}; {}, experts of {}", traces_.manifest().model, hardware.name,
                           human_bytes(static_cast<uint64_t>(model_.expert_bytes))));
    print_line(timed_table(rows));
    if (!arguments_.fit.empty() && found != nullptr)
      print_line(fmt::format("best in {}: {}", arguments_.fit, row_name(*found)));
    if (arguments_.target.empty()) return;
    if (found != nullptr) {
      print_line(fmt::format("smallest for {}: {}", arguments_.target, row_name(*found)));
    } else {
      print_line(fmt::format(
          "no cache reaches {}; with every expert on the card {} would come to "
          "{:.1f} tokens/s",
          arguments_.target, hardware.name, 1 / rows.front().outcome.result.mean_resident()));
    }
  }

  /// Of --fit the fastest, of --target the smallest that is fast enough, and of those of its size
  /// the fastest; null if there is none.
  const TimedRow* best_row(const std::vector<TimedRow>& rows) const {
    const double target = arguments_.target.empty() ? 0 : parse_target(arguments_.target);
    if (arguments_.fit.empty() && target == 0) return nullptr;
    const TimedRow* best = nullptr;
    for (const TimedRow& row : rows) {
      if (!(row.tokens_per_second() >= target)) continue;
      const int64_t slots = row.cell.options.slots;
      if (best != nullptr && slots > best->cell.options.slots) continue;
      if (best == nullptr || slots < best->cell.options.slots ||
          row.tokens_per_second() > best->tokens_per_second())
        best = &row;
    }
    return best;
  }

  const SimulateArguments& arguments_;
  const RunContext& run_;
  trace::TraceDirectory traces_;
  offload::ModelCost model_;
  offload::ScheduleOptions schedule_;
  Foresights foresights_;
  std::vector<Budget> budgets_;
  std::vector<bool> chosen_;
  int threads_ = 1;
  int64_t tokens_ = 0;  // of all texts; 0: not known
};

}  // namespace

void add_simulate_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<SimulateArguments>();
  CLI::App* command = app.add_subcommand(
      "simulate", "Tell what an expert cache, its policy and a predictor would gain");
  command->footer(kFooter);
  add_simulate_options(*command, *arguments);
  command->callback([arguments, &run] { Simulation(*arguments, run).run(); });
}

}  // namespace foregate
