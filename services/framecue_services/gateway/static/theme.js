"use strict";(()=>{try{let e=localStorage.getItem("framecue.theme");(e==="light"||e==="dark")&&(document.documentElement.dataset.theme=e)}catch{}})();
