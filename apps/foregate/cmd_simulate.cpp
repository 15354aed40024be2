#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/number_text.h"
#include "commands.h"
#include "output.h"
#include "simulate_options.h"
#include "simulate_output.h"
#include "simulation.h"
#include "timeline_file.h"

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
    "tok/s: 1 / mean time of a token. p50, p95, p99: its milliseconds, TTFT those of a prompt. Of "
    "what is asked\n"
    "for, in %: hit, late (on its way), miss; waste: of the bytes moved; link, GPU: busy. /bound: "
    "times what\n"
    "max(compute, transfers) of each token would take.";

class SimulateCommand {
 public:
  SimulateCommand(const SimulateArguments& arguments, const RunContext& run)
      : arguments_(arguments), run_(run), simulation_(arguments, run) {}

  void run() {
    if (arguments_.hardware.empty()) {
      hits();
    } else {
      times();
    }
  }

 private:
  const trace::Geometry& geometry() const { return simulation_.traces().geometry(); }
  const std::string& model_name() const { return simulation_.traces().manifest().model; }

  Json head() const {
    const offload::ScheduleOptions& schedule = simulation_.schedule();
    return {{"model", model_name()},
            {"num_moe_layers", geometry().num_moe_layers},
            {"num_experts", geometry().num_experts},
            {"top_k", geometry().top_k},
            {"sequences", schedule.sequences},
            {"cold", schedule.cold},
            {"prompt_batch", schedule.prompt_batch}};
  }

  std::string headline(int64_t texts, int64_t tokens) const {
    return fmt::format("{}: {} of {}, {} x {} experts, top-{}, {}", model_name(),
                       number_of(tokens, "token"), number_of(texts, "text"),
                       number_of(geometry().num_moe_layers, "layer"), geometry().num_experts,
                       geometry().top_k, arguments_.cold ? "cold cache" : "warm cache");
  }

  void hits() {
    const offload::SweepResult result = simulation_.hits();
    if (arguments_.json) {
      Json json = head();
      json.update(sweep_json(result, simulation_.budgets()));
      return print_json(json);
    }
    print_line(headline(result.texts, result.tokens));
    print_line(hit_tables(result, simulation_.budgets()));
    for (const offload::SweepCell& cell : result.cells) {
      if (!cell.impossible.empty()) run_.log.info("-: {}", cell.impossible);
    }
    if (!arguments_.fit.empty()) say_best_hit(result);
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
    const offload::HardwareProfile hardware = parse_hardware(arguments_, run_);
    if (!arguments_.save_hardware.empty())
      write_json_atomically(arguments_.save_hardware, offload::hardware_to_json(hardware));
    TimelineFile timeline;
    const bool recorded = !arguments_.timeline.empty();
    const std::vector<TimedRow> rows =
        simulation_.times(hardware, recorded ? timeline.recorder() : offload::TimelineSpan());
    if (recorded) timeline.write(arguments_.timeline);
    print_times(hardware, rows);
  }

  void print_times(const offload::HardwareProfile& hardware, const std::vector<TimedRow>& rows) {
    const TimedRow* found = best_row(rows);
    if (arguments_.json) {
      Json json = head();
      json["hardware"] = offload::hardware_to_json(hardware);
      json["expert_bytes"] = simulation_.model().expert_bytes;
      json["dense_bytes"] = simulation_.model().dense_bytes;
      json["runs"] = timed_json(rows);
      if (found != nullptr) json["best"] = found - rows.data();
      return print_json(json);
    }
    print_line(fmt::format(
        "{}; {}, experts of {}{}", model_name(), hardware.name,
        human_bytes(static_cast<uint64_t>(simulation_.model().expert_bytes)),
        one_policy(rows) ? ", " + offload::policy_name(rows.front().cell.options.policy) : ""));
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
  Simulation simulation_;
};

}  // namespace

void add_simulate_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<SimulateArguments>();
  CLI::App* command = app.add_subcommand(
      "simulate", "Tell what an expert cache, its policy and a predictor would gain");
  command->footer(kFooter);
  add_simulate_options(*command, *arguments);
  command->callback([arguments, &run] { SimulateCommand(*arguments, run).run(); });
}

}  // namespace foregate
