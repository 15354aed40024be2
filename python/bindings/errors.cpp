#include "errors.h"

#include "base/error.h"
#include "bindings.h"
#include "scoring/error.h"

namespace foregate::python {
namespace {

void set_error(const char* name, const char* message) {
  // Looked up when it is needed: the package imports this module first.
  const nb::object type = nb::module_::import_("foregate.errors").attr(name);
  PyErr_SetObject(type.ptr(), nb::str(message).ptr());
}

void translate(const std::exception_ptr& pointer, void* /*payload*/) {
  try {
    std::rethrow_exception(pointer);
  } catch (const UsageError& error) {
    set_error("UsageError", error.what());
  } catch (const DataError& error) {
    set_error("DataError", error.what());
  } catch (const scoring::UnsupportedError& error) {
    set_error("UnsupportedError", error.what());
  } catch (const scoring::NotObservedError& error) {
    set_error("NotObservedError", error.what());
  } catch (const EnvironmentError& error) {
    set_error("StorageError", error.what());
  } catch (const DeviceError& error) {
    set_error("DeviceError", error.what());
  } catch (const Error& error) {
    set_error("ForegateError", error.what());
  }
}

}  // namespace

void throw_error(const char* name, const std::string& message) {
  set_error(name, message.c_str());
  throw nb::python_error();
}

void bind_errors() {
  nb::register_exception_translator(translate);
}

}  // namespace foregate::python
