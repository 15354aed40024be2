#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "predictor_directory.h"

namespace foregate::testing {

struct SmallPredictor {
  const char* name;
  const char* lead;
};

/// One of every kind.
inline const std::vector<SmallPredictor> kSmallPredictors = {
    {"frequency", "next-token"}, {"previous-token", "next-token"}, {"token-table", "next-token"},
    {"transition", "layer-1"},   {"statistics", "next-token"},     {"statistics", "layer-1"},
    {"next-gate", "layer-1"},    {"gate-adapter", "layer-1"},      {"gate-mlp", "pre-attention"},
    {"mlp", "pre-attention"},    {"random", "next-token"},         {"transformer", "next-token"},
    {"transformer", "layer-1"},
};

/// Fills a PredictorDirectory with tensors of the right shapes and small random values.
class SmallTensors {
 public:
  explicit SmallTensors(PredictorDirectory& directory) : directory_(directory) {}

  void add_all(const SmallPredictor& predictor) {
    const std::string name = predictor.name;
    const int64_t first = std::string(predictor.lead) == "layer-1" ? 1 : 0;
    const int64_t rows = kLayers - first;
    if (name == "next-gate") return floats("router", {rows, kExperts, kHidden});
    if (name == "gate-adapter" || name == "gate-mlp" || name == "mlp") return networks(name, rows);
    if (name == "random") {
      directory_.tensor<int64_t>("seen_texts", "I64", {64}, std::vector<int64_t>(64, 7));
      return directory_.tensor<int64_t>("seed", "I64", {1}, {11});
    }
    if (name == "transformer") return transformer(rows, first > 0);
    floats("frequency", {kLayers, kExperts});
    if (name == "frequency" || name == "previous-token") return;
    if (name == "transition") {
      floats("evidence", {kLayers, kWindow, kExperts, kExperts});
      paths();
      return floats("mixture", {rows, 1 + 2 * kWindow + kPaths});
    }
    ids({"id_tokens"}, {"id_experts"});
    if (name == "token-table") return;
    ids({"before_tokens"}, {"before_experts", "id_first"});
    floats("first_frequency", {kLayers, kExperts});
    directory_.tensor<int64_t>("pair_ids", "I64", {2},
                               {(int64_t{1} << 32) | 1, (int64_t{1} << 32) | 3});
    directory_.tensor<int64_t>("pair_begin", "I64", {3}, {0, 1, 2});
    directory_.tensor<int16_t>("pair_experts", "I16", {2, kLayers, kTopK},
                               {0, 1, 2, 3, 3, 2, 1, 0});
    floats("previous", {kLayers, kExperts, kExperts});
    if (first > 0) {
      paths();
      floats("transitions", {kLayers, kWindow, kExperts, kExperts});
    }
    floats("mixture", {rows, 9 + (first > 0 ? kWindow + kPaths : 0)});
  }

 private:
  static constexpr int64_t kLayers = 2, kExperts = 4, kTopK = 2, kHidden = 3, kVocabulary = 5;
  static constexpr int64_t kWindow = 3, kPaths = kWindow + 2, kWidth = 7, kEmbedding = 2;

  static size_t size_of(const std::vector<int64_t>& shape) {
    size_t size = 1;
    for (const int64_t dimension : shape) size *= static_cast<size_t>(dimension);
    return size;
  }

  void floats(const std::string& name, const std::vector<int64_t>& shape) {
    std::vector<float> values(size_of(shape));
    for (float& value : values) value = static_cast<float>(random_.uniform());
    directory_.tensor<float>(name, "F32", shape, values);
  }

  void paths() {
    // Layer 0 alone is known to layer 1: paths of experts 0 and 1, and of 2 and 3.
    constexpr int64_t kSquare = kExperts * kExperts;
    constexpr int64_t kSpan = kWindow * kSquare + kSquare * kSquare * (1 + kSquare);
    directory_.tensor<int64_t>("path_ids", "I64", {2}, {kSpan + 1, kSpan + 2 * kExperts + 3});
    directory_.tensor<int64_t>("path_begin", "I64", {3}, {0, 2, 3});
    directory_.tensor<int16_t>("path_experts", "I16", {3}, {1, 3, 2});
    directory_.tensor<int32_t>("path_counts", "I32", {3}, {3, 1, 4});
  }

  void ids(const std::vector<const char*>& totals, const std::vector<const char*>& counts) {
    if (totals[0] == std::string("id_tokens"))
      directory_.tensor<int64_t>("ids", "I64", {2}, {1, 3});
    for (const char* name : totals) directory_.tensor<int32_t>(name, "I32", {2}, {3, 4});
    for (const char* name : counts) {
      directory_.tensor<int32_t>(name, "I32", {2, kLayers, kExperts},
                                 std::vector<int32_t>(2 * kLayers * kExperts, 2));
    }
  }

  void networks(const std::string& name, int64_t rows) {
    if (name == "mlp") {
      floats("input", {rows, kHidden, kWidth});
      floats("input_bias", {rows, kWidth});
      floats("output", {rows, kWidth, kExperts});
      return floats("output_bias", {rows, kExperts});
    }
    floats("router", {rows, kExperts, kHidden});
    floats("gain", {rows, kHidden});
    floats("bias", {rows, kExperts});
    if (name == "gate-adapter") {
      floats("down", {rows, kHidden, kWidth});
      return floats("up", {rows, kWidth, kExperts});
    }
    floats("state_in", {rows, kHidden, kWidth});
    floats("embedding", {kVocabulary + 1, kEmbedding});
    floats("ids_in", {rows, 3 * kEmbedding, kExperts + kWidth});
    floats("experts_in", {rows, 2 * kExperts, kExperts + kWidth});
    floats("inner_bias", {rows, kWidth});
    floats("inner_out", {rows, kWidth, kExperts});
  }

  void transformer(int64_t rows, bool by_layer) {
    constexpr int64_t kInner = 5, kBack = 2, kSize = 4;
    const int64_t outputs = kExperts + (by_layer ? kInner : 0);
    directory_.set_up(R"({"width": 4, "blocks": 1, "heads": 2, "context": 4, "layers_back": 2,)"
                      R"( "layer_width": 5})");
    directory_.tensor<int64_t>("ids", "I64", {2}, {1, 3});
    floats("embedding", {3, kSize});
    floats("routing", {kLayers * kExperts, kSize});
    for (const char* norm : {"norm", "block.0.attention_norm", "block.0.mlp_norm"}) {
      floats(norm, {kSize});
    }
    floats("block.0.attention_in", {kSize, 3 * kSize});
    floats("block.0.attention_out", {kSize, kSize});
    floats("block.0.mlp_in", {kSize, 4 * kSize});
    floats("block.0.mlp_in_bias", {4 * kSize});
    floats("block.0.mlp_out", {4 * kSize, kSize});
    floats("out", {kSize, rows * outputs});
    floats("out_bias", {rows * outputs});
    if (!by_layer) return;
    floats("known", {rows, kBack * kExperts, outputs});
    floats("layer_out", {rows, kInner, kExperts});
  }

  PredictorDirectory& directory_;
  Random random_{3};
};

}  // namespace foregate::testing
