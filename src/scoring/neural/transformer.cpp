#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "scoring/error.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/neural/transformer_window.h"
#include "scoring/products.h"
#include "scoring/scorers.h"
#include "scoring/sorted_ids.h"

namespace foregate::scoring {
namespace {

constexpr int64_t kMaxSize = 65536;
constexpr int64_t kMaxBlocks = 256;

TransformerSizes read_sizes(const JsonReader& settings) {
  TransformerSizes sizes{};
  sizes.width = settings.integer("width", 2, kMaxSize);
  sizes.blocks = settings.integer("blocks", 1, kMaxBlocks);
  sizes.heads = settings.integer("heads", 1, sizes.width / 2);
  sizes.context = settings.integer("context", 2, kMaxSize);
  sizes.layers_back = settings.integer("layers_back", 1, kMaxSize);
  sizes.layer_width = settings.integer("layer_width", 1, kMaxSize);
  if (sizes.width % (2 * sizes.heads) != 0) {
    settings.fail("width", fmt::format("a multiple of twice the {} heads", sizes.heads));
  }
  return sizes;
}

/// What goes into the blocks and what is made of what comes out.
struct TransformerTensors {
  TransformerTensors(const PredictorIdentity& identity, const TransformerSizes& its_sizes,
                     std::span<const int64_t> known_ids, const LayoutTensors& tensors)
      : sizes(its_sizes),
        by_layer(identity.lead.kind == Lead::Kind::kLayer),
        layers(identity.geometry.num_moe_layers),
        experts(identity.geometry.num_experts),
        rows(layers - identity.lead.first_layer()),
        outputs(experts + (by_layer ? sizes.layer_width : 0)),
        ids(known_ids),
        embedding(tensors["embedding"]),
        routing(tensors["routing"]),
        norm(tensors["norm"]),
        out(tensors["out"]),
        out_bias(tensors["out_bias"]),
        known(by_layer ? tensors["known"] : nullptr),
        layer_out(by_layer ? tensors["layer_out"] : nullptr) {
    for (int64_t i = 0; i < sizes.blocks; ++i) blocks.emplace_back(tensors, i);
  }

  /// Windows overlap by half: the first token of window j is j * stride().
  int64_t stride() const { return sizes.context - sizes.context / 2; }

  const TransformerSizes sizes;
  const bool by_layer;
  const int64_t layers;   // L
  const int64_t experts;  // E
  const int64_t rows;     // L'
  const int64_t outputs;  // O: E, at layer-h E + W
  const std::span<const int64_t> ids;
  const float* embedding;  // [S + 1][D]
  const float* routing;    // [L E][D]
  const float* norm;       // [D]
  const float* out;        // [D][L' O]
  const float* out_bias;   // [L' O]
  const float* known;      // [L'][c E][O], at layer-h
  const float* layer_out;  // [L'][W][E], at layer-h
  std::vector<TransformerBlock> blocks;
};

/// The two windows that a token can be in, and what the first of them says of the current token.
class TransformerMemory : public Memory {
 public:
  explicit TransformerMemory(const TransformerTensors& tensors)
      : tensors_(tensors),
        windows_{TransformerWindow(tensors.sizes, tensors.blocks),
                 TransformerWindow(tensors.sizes, tensors.blocks)} {}

  void reset() override { missing_.reset(); }

  void begin_token(const History& history) override {
    const int64_t token = history.num_tokens() - 1;
    if (!missing_) missing_ = first_missing(history, token - 1);
    if (missing_) return;
    const int64_t context = tensors_.sizes.context;
    const int64_t stride = tensors_.stride();
    const int64_t latest = token / stride;
    // The first window that holds the token is the one that scores it.
    const int64_t first = token < context ? 0 : (token - context) / stride + 1;
    for (int64_t j = first; j <= latest; ++j) {
      TransformerWindow& window = windows_[static_cast<size_t>(j % 2)];
      if (token == j * stride) window.clear();
      std::vector<float> x = input_of(history, token, window.size() > 0);
      window.append(x, j == first);
      if (j == first) finish(x);
    }
  }

  /// [O] of a predictable layer. Throws NotObservedError.
  const float* outputs(int64_t row) const {
    if (missing_) {
      throw NotObservedError(
          fmt::format("the routing of token {} at layer {} was not given, and transformer looks at "
                      "every token before the current one",
                      missing_->token, missing_->layer));
    }
    return outputs_.data() + row * tensors_.outputs;
  }

 private:
  struct Missing {
    int64_t token;
    int64_t layer;
  };

  std::optional<Missing> first_missing(const History& history, int64_t token) const {
    for (int64_t l = 0; token >= 0 && l < tensors_.layers; ++l) {
      if (!history.has_routing(token, l)) return Missing{token, l};
    }
    return std::nullopt;
  }

  std::vector<float> input_of(const History& history, int64_t token, bool has_before) const {
    const int64_t width = tensors_.sizes.width;
    const int64_t place = index_of(tensors_.ids, history.id(token));
    const float* embedding =
        tensors_.embedding + (place < 0 ? std::ssize(tensors_.ids) : place) * width;
    std::vector<float> sum(static_cast<size_t>(width));
    for (int64_t l = 0; has_before && l < tensors_.layers; ++l) {
      for (const uint16_t expert : history.routing(token - 1, l)) {
        const float* row = tensors_.routing + (l * tensors_.experts + expert) * width;
        for (int64_t i = 0; i < width; ++i) sum[static_cast<size_t>(i)] += row[i];
      }
    }
    for (int64_t i = 0; i < width; ++i) sum[static_cast<size_t>(i)] += embedding[i];
    return sum;
  }

  void finish(const std::vector<float>& x) {
    const int64_t width = tensors_.sizes.width;
    const int64_t size = tensors_.rows * tensors_.outputs;
    std::vector<float> normal(x.size());
    layer_norm(x.data(), tensors_.norm, width, normal.data());
    outputs_.assign(tensors_.out_bias, tensors_.out_bias + size);
    const float* in = normal.data();
    float* out = outputs_.data();
    add_transposed_product(tensors_.out, width, size, {&in, 1}, {&out, 1});
  }

  const TransformerTensors& tensors_;
  std::array<TransformerWindow, 2> windows_;  // window j is windows_[j % 2]
  std::vector<float> outputs_;                // [L' O]
  std::optional<Missing> missing_;            // the first that was not given
};

/// A causal transformer over the tokens' ids and routing; see docs/c-api.md.
class TransformerScorer : public SingleScorer {
 public:
  TransformerScorer(PredictorIdentity identity, const TransformerSizes& sizes,
                    std::span<const int64_t> ids, const LayoutTensors& tensors)
      : SingleScorer(std::move(identity)), tensors_(this->identity(), sizes, ids, tensors) {}

  Needs needs() const override { return {.token = true, .routing = true, .tokens_back = 1}; }
  std::unique_ptr<Memory> make_memory() const override {
    return std::make_unique<TransformerMemory>(tensors_);
  }

 private:
  void score_one(const Sequence& sequence, int64_t layer, float* scores) const override {
    const int64_t row = layer - first_layer();
    const float* outputs = static_cast<const TransformerMemory&>(*sequence.memory).outputs(row);
    if (!tensors_.by_layer) {
      std::copy_n(outputs, num_experts(), scores);
      return;
    }
    std::vector<float> sum(outputs, outputs + tensors_.outputs);
    add_known_layers(sequence.history, layer, sum);
    float* inner = sum.data() + num_experts();
    silu(inner, tensors_.sizes.layer_width);
    std::copy_n(sum.data(), num_experts(), scores);
    const float* in = inner;
    const float* matrix = tensors_.layer_out + row * tensors_.sizes.layer_width * num_experts();
    add_transposed_product(matrix, tensors_.sizes.layer_width, num_experts(), {&in, 1},
                           {&scores, 1});
  }

  /// What the token chose at the latest known layers; in front of the first one there is nothing.
  void add_known_layers(const History& history, int64_t layer, std::vector<float>& sum) const {
    const int64_t back = tensors_.sizes.layers_back;
    const int64_t latest = layer - first_layer();
    const float* known = tensors_.known + latest * back * num_experts() * tensors_.outputs;
    for (int64_t i = std::max<int64_t>(0, back - 1 - latest); i < back; ++i) {
      const int64_t source = latest - (back - 1 - i);
      for (const uint16_t expert : history.routing(history.num_tokens() - 1, source)) {
        const float* row = known + (i * num_experts() + expert) * tensors_.outputs;
        for (size_t o = 0; o < sum.size(); ++o) sum[o] += row[o];
      }
    }
  }

  const TransformerTensors tensors_;
};

}  // namespace

std::unique_ptr<Scorer> make_transformer_scorer(PredictorIdentity identity, const Weights& weights,
                                                const JsonReader& settings) {
  const TransformerSizes sizes = read_sizes(settings);
  const std::span<const int64_t> ids = weights.id_list("ids");
  const LayoutTensors tensors(
      weights, transformer_layout(identity.geometry, identity.lead, sizes, std::ssize(ids)));
  return std::make_unique<TransformerScorer>(std::move(identity), sizes, ids, tensors);
}

}  // namespace foregate::scoring
