#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/half.h"
#include "trace/export/exported.h"
#include "trace/geometry.h"
#include "trace/import/json_lines.h"
#include "trace/import/ranking.h"
#include "trace/import/source.h"
#include "trace/import/tokens.h"

namespace foregate::trace {
namespace {

/// Lengths of a nested list [tokens][layers][k].
struct Shape {
  size_t tokens = 0;
  size_t layers = 0;
  size_t k = 0;
  bool operator==(const Shape&) const = default;
};

[[noreturn]] void fail_ragged(const JsonReader& line, const char* key) {
  throw DataError(
      fmt::format("{}: '{}' is not a list [tokens][MoE layers][k] of the same lengths "
                  "throughout",
                  line.where(), key));
}

/// Calls `visit` for every number, in order; lists must be as long as their first sisters.
template <typename Visit>
Shape visit_numbers(const JsonReader& line, const char* key, const Visit& visit) {
  const Json& tokens = line.array(key);
  Shape shape{.tokens = tokens.size()};
  for (const Json& layers : tokens) {
    if (!layers.is_array()) fail_ragged(line, key);
    if (shape.layers == 0) shape.layers = layers.size();
    if (layers.size() != shape.layers || layers.empty()) fail_ragged(line, key);
    for (const Json& decision : layers) {
      if (!decision.is_array()) fail_ragged(line, key);
      if (shape.k == 0) shape.k = decision.size();
      if (decision.size() != shape.k || decision.empty()) fail_ragged(line, key);
      for (const Json& value : decision) visit(value);
    }
  }
  if (shape.tokens == 0 || shape.layers > size_t{kMaxLayers}) fail_ragged(line, key);
  return shape;
}

/// A text a line: {"experts": [tokens][layers][k], ...} as `foregate export` writes it (with the
/// manifest in the first line), or "routed_experts" as vLLM names it in a request's output.
class TextLines : public TraceSource {
 public:
  TextLines(const fs::path& file, const StopToken& stop)
      : lines_(file), numbering_(names_), folder_(fs::weakly_canonical(file).parent_path()) {
    manifest_ = imported_manifest(fs::weakly_canonical(file).stem().string());
    Json json;
    int largest = 0;
    SourceText text;
    while (lines_.next(json)) {
      stop.check("nothing was imported");
      const JsonReader line(json, lines_.where());
      if (line.has("manifest")) {
        read_header(line);
        continue;
      }
      read(line, text);
      numbering_.expect(read_token_list(line).kind, line.where());
      largest = std::max<int>(
          largest, *std::max_element(text.trace.experts.begin(), text.trace.experts.end()));
      ++num_texts_;
    }
    if (num_texts_ == 0) throw DataError(fmt::format("{}: no line holds a text", file.string()));
    describe(largest);
    lines_.rewind();
  }

  int64_t num_texts() const override { return num_texts_; }

  bool next(SourceText& text) override {
    Json json;
    do {
      if (!lines_.next(json)) return false;
    } while (json.contains("manifest"));
    const JsonReader line(json, lines_.where());
    read(line, text);
    text.trace.token_ids = numbering_.ids(read_token_list(line), 0, tokens_);
    text.trace.prompt_tokens =
        static_cast<int32_t>(line.integer("prompt_tokens", 0, tokens_, tokens_));
    return true;
  }

 private:
  void read_header(const JsonReader& line) {
    if (num_texts_ > 0) {
      throw DataError(
          fmt::format("{}: a manifest behind texts; expected it in the first line", line.where()));
    }
    manifest_ = exported::read_manifest(line.at("manifest"), line.where(), folder_, names_);
    knows_experts_ = true;
  }

  /// Everything but the tokens.
  void read(const JsonReader& line, SourceText& text) {
    text = SourceText();
    text.where = line.where();
    text.trace.dataset = line.string("dataset", folder_.filename().string());
    text.trace.sample = line.integer("sample", 0, INT64_MAX, -1);
    const char* key = line.has("experts") ? "experts" : "routed_experts";
    const Shape shape = visit_numbers(line, key, [&](const Json& value) {
      const bool fits = value.is_number_integer() && value.get<int64_t>() >= 0 &&
                        value.get<int64_t>() < kMaxExperts;
      if (!fits) line.fail(key, fmt::format("expert ids from 0 to {}", kMaxExperts - 1));
      text.trace.experts.push_back(static_cast<uint16_t>(value.get<int64_t>()));
    });
    tokens_ = static_cast<int64_t>(shape.tokens);
    if (shape_.tokens == 0) {
      shape_ = shape;
      has_weights_ = line.has("gate_weights");
    }
    check_like_first(line, shape);
    if (has_weights_) read_weights(line, shape, text.trace);
  }

  void check_like_first(const JsonReader& line, const Shape& shape) const {
    if (shape.layers != shape_.layers || shape.k != shape_.k) {
      throw DataError(
          fmt::format("{}: {} layers and {} experts a decision; the lines before have "
                      "{} and {}",
                      line.where(), shape.layers, shape.k, shape_.layers, shape_.k));
    }
    if (line.has("gate_weights") != has_weights_) {
      throw DataError(
          fmt::format("{}: gate weights in some lines and not in others", line.where()));
    }
    const int64_t given = read_token_list(line).size().value_or(tokens_);
    if (given != tokens_) {
      throw DataError(
          fmt::format("{}: {} tokens, but routing of {}", line.where(), given, tokens_));
    }
  }

  void read_weights(const JsonReader& line, const Shape& shape, Trace& trace) {
    std::vector<float> weights;
    const Shape found = visit_numbers(line, "gate_weights", [&](const Json& value) {
      if (!value.is_number()) line.fail("gate_weights", "lists of numbers");
      weights.push_back(value.get<float>());
    });
    if (found != shape) fail_ragged(line, "gate_weights");
    for (size_t begin = 0; begin < weights.size(); begin += shape.k) {
      rank_by_weight(std::span(trace.experts).subspan(begin, shape.k),
                     std::span(weights).subspan(begin, shape.k));
    }
    for (const float weight : weights) trace.gate_weights.push_back(float_to_half(weight));
  }

  void describe(int largest) {
    if (!knows_experts_) {
      manifest_.gate_weights = has_weights_;
      manifest_.geometry = plain_geometry(static_cast<int64_t>(shape_.layers), largest + 1,
                                          static_cast<int64_t>(shape_.k));
      manifest_.token_ids = numbering_.kind();
      return;
    }
    const Geometry& geometry = manifest_.geometry;
    if (static_cast<size_t>(geometry.num_moe_layers) == shape_.layers &&
        static_cast<size_t>(geometry.top_k) == shape_.k && manifest_.gate_weights == has_weights_) {
      return;
    }
    throw DataError(fmt::format("{}: the texts are not what its first line describes; export again",
                                lines_.where()));
  }

  JsonLines lines_;
  TokenNumbering numbering_;
  fs::path folder_;
  Shape shape_;  ///< of the first text
  bool has_weights_ = false;
  int64_t tokens_ = 0;  ///< of the text read last
  int64_t num_texts_ = 0;
};

}  // namespace

std::unique_ptr<TraceSource> open_text_lines(const fs::path& file, const StopToken& stop) {
  return std::make_unique<TextLines>(file, stop);
}

}  // namespace foregate::trace
