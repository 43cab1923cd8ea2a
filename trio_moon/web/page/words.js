// Numbers as people say them.

export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}

export function clock(date) {
  const sameDay = date.toDateString() === new Date().toDateString();
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(sameDay ? {} : { weekday: "short" }) };
  return date.toLocaleTimeString([], options);
}

export const degrees = (value) => (Number.isFinite(value) ? `${value.toFixed(1)}°` : "–");

export function length(mm) {
  if (!Number.isFinite(mm)) return "";
  if (Math.abs(mm) < 1000) return `${mm.toFixed(Math.abs(mm) < 10 ? 2 : 1)}\u00a0mm`;
  return `${(mm / 1000).toFixed(Math.abs(mm) < 100000 ? 2 : 1)}\u00a0m`;
}

export function weight(grams) {
  if (!Number.isFinite(grams)) return "";
  return Math.abs(grams) < 1000 ? `${grams.toFixed(grams < 100 ? 1 : 0)}\u00a0g` : `${(grams / 1000).toFixed(2)}\u00a0kg`;
}

export const kilobytes = (kb) => (kb > 1048576 ? `${(kb / 1048576).toFixed(1)} GB` : `${Math.round(kb / 1024)} MB`);

// "temperature_sensor raspberry_pi" → "raspberry pi"
export function sensorName(name) {
  const own = name.includes(" ") ? name.slice(name.indexOf(" ") + 1) : name;
  return own.replaceAll("_", " ");
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
