#include "generate_check.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "base/number_text.h"

namespace foregate {
namespace {

std::string digest_of(const torch::Tensor& logits) {
  const torch::Tensor host = logits.to(torch::kCPU).contiguous();
  Sha256 digest;
  digest.update({static_cast<const std::byte*>(host.const_data_ptr()), host.nbytes()});
  return digest.hex_digest();
}

[[noreturn]] void fail(const std::string& where) {
  throw Error(fmt::format(
      "--check: {} from those of experts that are all on the device; this is a bug of foregate, "
      "please report the command and the model",
      where));
}

}  // namespace

/// Compares a run, as it goes, with an earlier one.
class GenerationCheck::Second : public engine::GenerationListener {
 public:
  explicit Second(const GenerationCheck& first) : first_(first) {}

  void on_logits(const torch::Tensor& logits) override {
    const size_t step = steps_++;
    if (step >= first_.logits_.size() || digest_of(logits) != first_.logits_[step]) {
      fail(fmt::format("the logits of step {} differ", step));
    }
  }
  void on_result(const engine::GenerationResult& result) override {
    const auto ids = first_.ids_.find(result.id);
    if (ids == first_.ids_.end() || ids->second != result.ids) {
      fail(fmt::format("the tokens of row {} differ", result.id));
    }
    ++results_;
  }

  size_t steps() const { return steps_; }
  size_t results() const { return results_; }

 private:
  const GenerationCheck& first_;
  size_t steps_ = 0;
  size_t results_ = 0;
};

void GenerationCheck::on_logits(const torch::Tensor& logits) {
  logits_.push_back(digest_of(logits));
  listener_.on_logits(logits);
}

void GenerationCheck::on_result(const engine::GenerationResult& result) {
  ids_[result.id] = result.ids;
  listener_.on_result(result);
}

Json GenerationCheck::compare(engine::Engine& engine, const engine::GeneratorOptions& options,
                              const engine::Generator::TokenBytes& token_bytes,
                              const StopToken& stop) const {
  engine::Generator generator(engine, options, token_bytes);
  Second second(*this);
  engine::NoObserver nobody;
  size_t next = 0;
  const engine::GenerationStats stats = generator.run(
      [&]() -> std::optional<engine::GenerationRequest> {
        if (next == requests_.size()) return std::nullopt;
        return requests_[next++];
      },
      second, stop, nobody);
  if (stats.interrupted) throw InterruptedError("stopped before everything was compared");
  if (second.steps() != logits_.size() || second.results() != ids_.size()) {
    fail("the number of steps differs");
  }
  return {{"texts", ids_.size()}, {"steps", logits_.size()}, {"identical", true}};
}

}  // namespace foregate
