#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trace/geometry.h"
#include "trace/import/json_lines.h"
#include "trace/import/megatron_pass.h"
#include "trace/import/rows.h"

namespace foregate::trace {
namespace {

/// The names that loggers give to the same thing.
struct Keys {
  const char* text;
  const char* experts;
  const char* weights;
};
constexpr Keys kVllm = {"req_id", "topk_ids", "topk_weights"};
constexpr Keys kProblems = {"problem_id", "experts", "gating_probs"};

/// {"type": "route", "req_id", "token_idx", "layer", "topk_ids", "topk_weights"} a line, or
/// {"dataset", "problem_id", "token_idx", "layer", "experts", "gating_probs"}. Lines of another
/// type are left out; one of type "meta" may name the model.
class JsonRows : public RoutingRows {
 public:
  JsonRows(const std::vector<fs::path>& files, const ImportOptions& options)
      : lines_(files, options.allow_missing),
        skip_(options.skip),
        allow_missing_(options.allow_missing) {}

  bool next(RoutingRow& row) override {
    Json json;
    while (true) {
      while (pass_.next(row)) {
        if (skipped_++ >= skip_) return true;
      }
      if (!lines_.next(json)) return false;
      try {
        if (read_line(JsonReader(json, lines_.where()), row)) return true;
      } catch (const DataError& error) {
        if (!allow_missing_) throw;
        left_out_.problem(error.what());
      }
    }
  }

  void rewind() override {
    lines_.rewind();
    pass_ = {};
    ranks_ = {};
    skipped_ = 0;
    left_out_ = {};
  }

  LeftOut left_out() const override {
    LeftOut result = left_out_;
    result.broken_lines = lines_.broken();
    if (result.records == 0) result.first_problem = lines_.first_problem();
    return result;
  }

  void require_whole() const override { ranks_.require_whole_passes(); }
  std::string where() const override { return lines_.where(); }
  size_t position() const override { return lines_.position(); }
  size_t size() const override { return lines_.size(); }
  std::string model() const override { return model_; }
  bool positions_given() const override { return true; }

 private:
  /// False if the line is no routing decision, or is to be skipped.
  bool read_line(const JsonReader& line, RoutingRow& row) {
    if (line.has(MegatronPass::kExperts)) {
      if (!pass_.read(line)) {
        ++left_out_.other_blocks;
      } else {
        ranks_.add(pass_, line.where());
      }
      return false;
    }
    const std::string type = line.string("type", "route");
    if (type == "meta") model_ = line.string("model_id", "");
    if (type != "route") {
      if (type != "meta") ++left_out_.without_routing;
      return false;
    }
    if (skipped_++ < skip_) return false;
    const bool vllm = line.has(kVllm.experts);
    if (!vllm && !line.has(kProblems.experts)) fail_unknown(line);
    read(line, vllm ? kVllm : kProblems, row);
    return true;
  }

  [[noreturn]] static void fail_unknown(const JsonReader& line) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : line.json().items()) keys.push_back(key);
    throw DataError(
        fmt::format("{}: neither a text ('routed_experts') nor a routing decision ('topk_ids' or "
                    "'experts'); its "
                    "keys are: {:.200}",
                    line.where(), fmt::format("{}", fmt::join(keys, ", "))));
  }

  static void read(const JsonReader& line, const Keys& keys, RoutingRow& row) {
    row = {};
    row.dataset = line.string("dataset", "");
    const Json& text = line.at(keys.text);
    if (!text.is_string() && !text.is_number_integer()) line.fail(keys.text, "a string or integer");
    row.text = json_line(text);
    row.token = line.integer("token_idx", 0, INT32_MAX - 1);
    row.layer = line.integer("layer", 0, INT16_MAX);
    for (const int64_t expert : line.integers(keys.experts)) {
      if (expert < 0 || expert >= kMaxExperts) {
        line.fail(keys.experts, fmt::format("expert ids from 0 to {}", kMaxExperts - 1));
      }
      row.experts.push_back(static_cast<uint16_t>(expert));
    }
    if (row.experts.empty()) line.fail(keys.experts, "at least one expert");
    if (line.has("token_id")) {
      row.token_kind = TokenIds::kTokenizer;
      row.token_id = static_cast<int32_t>(line.integer("token_id", 0, INT32_MAX));
    }
    if (!line.has(keys.weights)) return;
    for (const Json& weight : line.array(keys.weights)) {
      if (!weight.is_number()) {
        line.fail(keys.weights,
                  fmt::format("a list of numbers (null: NaN or Infinity), of token {} "
                              "at layer {} of text {}",
                              row.token, row.layer, row.text));
      }
      row.weights.push_back(weight.get<float>());
    }
    if (row.weights.size() != row.experts.size()) {
      line.fail(keys.weights, fmt::format("a weight for each of {} experts", row.experts.size()));
    }
  }

  JsonLines lines_;
  int64_t skip_;
  bool allow_missing_;
  MegatronPass pass_;
  MegatronRanks ranks_;
  int64_t skipped_ = 0;
  LeftOut left_out_;
  std::string model_;
};

}  // namespace

std::unique_ptr<RoutingRows> read_json_rows(const std::vector<fs::path>& files,
                                            const ImportOptions& options) {
  return std::make_unique<JsonRows>(files, options);
}

}  // namespace foregate::trace
