#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_context.h"
#include "engine/engine.h"
#include "engine/generation/generator.h"

namespace foregate {

/// Keeps what a run was asked for and what came of it, bit by bit, and runs it once more in another
/// way.
class GenerationCheck : public engine::GenerationListener {
 public:
  /// Passes everything on to `listener`.
  explicit GenerationCheck(engine::GenerationListener& listener) : listener_(listener) {}

  /// A request of the run.
  void expect(const engine::GenerationRequest& request) { requests_.push_back(request); }

  void on_step(std::span<const engine::StepPart> parts) override { listener_.on_step(parts); }
  void on_logits(const torch::Tensor& logits) override;
  void on_text(int64_t id, std::string_view text) override { listener_.on_text(id, text); }
  void on_result(const engine::GenerationResult& result) override;

  /// Runs the same requests, with the same options, on this engine and compares ids and the bits of
  /// all logits. -> {"texts", "steps", "identical"}. Throws Error, saying where, if they differ.
  Json compare(engine::Engine& engine, const engine::GeneratorOptions& options,
               const engine::Generator::TokenBytes& token_bytes, const StopToken& stop) const;

 private:
  class Second;

  engine::GenerationListener& listener_;
  std::vector<engine::GenerationRequest> requests_;
  std::vector<std::string> logits_;  ///< of each step, their SHA-256
  std::map<int64_t, std::vector<int32_t>> ids_;
};

}  // namespace foregate
