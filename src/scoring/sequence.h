#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trace/trace.h"

namespace foregate::scoring {

enum class StateDtype { kFloat32, kBfloat16, kFloat16 };

/// What of a sequence a predictor looks at; the rest is not kept.
struct Needs {
  bool token = false;    ///< ids
  bool routing = false;  ///< decisions, of the current token and `tokens_back` before it
  bool state = false;    ///< hidden states of the current token
  int64_t tokens_back = 0;
  static constexpr int64_t kAllTokens = -1;
};

/// What a sequence was told. Its current token is the latest.
class History {
 public:
  History(const trace::Geometry& geometry, const Needs& needs);

  void reset();
  void begin_token(int32_t id);
  /// Ranked, largest gate weight first. Throws UsageError if the layer or the experts are not the
  /// model's, or were told before; NotObservedError if there is no token.
  void set_routing(int64_t layer, std::span<const int32_t> experts);
  /// Keeps values / sqrt(mean of squares + 1e-6) as float32. Errors as above.
  void set_state(int64_t layer, const void* values, StateDtype dtype, size_t size);

  int64_t num_tokens() const { return num_tokens_; }
  int64_t id(int64_t token) const { return ids_[static_cast<size_t>(token)]; }
  bool has_routing(int64_t token, int64_t layer) const;
  /// [k]. Throws NotObservedError.
  std::span<const uint16_t> routing(int64_t token, int64_t layer) const;
  /// [H], of the current token. Throws NotObservedError.
  const float* state(int64_t layer) const;

 private:
  void require_token(const char* what) const;
  void require_layer(int64_t layer) const;
  size_t cell(int64_t token, int64_t layer) const;

  trace::Geometry geometry_;
  Needs needs_;
  int64_t num_tokens_ = 0;
  std::vector<int32_t> ids_;       // [n]; empty if not needed
  std::vector<uint16_t> routing_;  // [rows][L][k], rows used in turn unless all are kept
  std::vector<uint8_t> routed_;    // [rows][L] whether it was told
  std::vector<float> states_;      // [L][H]
  std::vector<uint8_t> stated_;    // [L]
};

}  // namespace foregate::scoring
